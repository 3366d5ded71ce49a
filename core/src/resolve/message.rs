//! One question, and what a message says to it (RFC 1035, 3596, 6891).

use super::Name;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode};
use domain::base::message::RecordSection;
use domain::base::name::ToName;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name as Wire, Rtype};
use domain::rdata::{A, Aaaa, Cname, Soa};
use std::net::IpAddr;

/// Most addresses that an answer is believed to have; the others are left out.
pub const ADDRESSES_MAX: usize = 256;

/// Most aliases that one message may lead through.
const ALIASES_MAX: usize = 16;

/// Bytes of the largest answer asked for by UDP: what passes every link unfragmented, as the operators of name servers agreed in 2020.
const UDP_MAX: u16 = 1232;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// AAAA: IPv6 addresses.
    V6,
    /// A: IPv4 addresses.
    V4,
}

impl Kind {
    const fn rtype(self) -> Rtype {
        match self {
            Self::V6 => Rtype::AAAA,
            Self::V4 => Rtype::A,
        }
    }

    /// Whether `address` is what it asks for.
    #[must_use]
    pub const fn is(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

/// A name taken out of a message.
type Owned = Wire<Vec<u8>>;

/// A question as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) id: u16,
    pub(super) name: Name,
    pub(super) kind: Kind,
    /// Whether it carries EDNS(0), which servers of old do not know.
    pub(super) edns: bool,
}

/// What a message is to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// No answer to it: of another question, or nothing at all.
    Foreign,
    /// Its answer is too long for UDP.
    Truncated,
    /// The server does not understand EDNS.
    Plain,
    /// The server cannot or will not, in words.
    Refused(String),
    /// The answer.
    Said(Said),
}

/// What a server says of a name, and for how many seconds that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Addresses(Vec<IpAddr>, u32),
    NoData(u32),
    NoName(u32),
    /// The name is an alias, and of the one that it stands for the server says nothing.
    Alias(Name, u32),
}

impl Said {
    /// The same where the way to it holds for `most` seconds.
    pub(super) fn within(self, most: u32) -> Self {
        match self {
            Self::Addresses(addresses, ttl) => Self::Addresses(addresses, ttl.min(most)),
            Self::NoData(ttl) => Self::NoData(ttl.min(most)),
            Self::NoName(ttl) => Self::NoName(ttl.min(most)),
            Self::Alias(name, ttl) => Self::Alias(name, ttl.min(most)),
        }
    }
}

impl Question {
    /// The message. `None` cannot be: a name fits.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(self.id);
        builder.header_mut().set_rd(true);
        let mut questions = builder.question();
        questions.push((self.name.wire(), self.kind.rtype())).ok()?;
        let mut additional = questions.additional();
        if self.edns {
            let opt = |opt: &mut domain::base::message_builder::OptBuilder<'_, Vec<u8>>| {
                opt.set_udp_payload_size(UDP_MAX);
                Ok(())
            };
            additional.opt(opt).ok()?;
        }
        Some(additional.finish())
    }

    /// What `bytes` say to this question.
    pub(super) fn read(&self, bytes: &[u8]) -> Reading {
        let Ok(message) = Message::from_slice(bytes) else { return Reading::Foreign };
        let header = message.header();
        if !header.qr() || header.id() != self.id || header.opcode() != Opcode::QUERY {
            return Reading::Foreign;
        }
        // Servers that do not understand a message need not repeat what it asks.
        let bare = message.header_counts().qdcount() == 0
            && matches!(header.rcode(), Rcode::FORMERR | Rcode::NOTIMP);
        if !bare && !self.is_repeated_in(message) {
            return Reading::Foreign;
        }
        let code = message.opt_rcode();
        if self.edns && matches!(code, OptRcode::FORMERR | OptRcode::NOTIMP | OptRcode::BADVERS) {
            return Reading::Plain;
        }
        if header.tc() {
            return Reading::Truncated;
        }
        match code {
            OptRcode::NOERROR | OptRcode::NXDOMAIN => {}
            code => return Reading::Refused(format!("answers {code}")),
        }
        let lame = || Reading::Refused("gives an answer that makes no sense".to_owned());
        self.said(message, code == OptRcode::NXDOMAIN)
            .map_or_else(|_| lame(), |said| said.map_or_else(lame, Reading::Said))
    }

    fn is_repeated_in(&self, message: &Message<[u8]>) -> bool {
        message.sole_question().is_ok_and(|question| {
            question.qtype() == self.kind.rtype()
                && question.qclass() == Class::IN
                && question.qname().name_eq(self.name.wire())
        })
    }

    /// The answer; `None` when the server only knows others who may have one.
    fn said(&self, message: &Message<[u8]>, no_name: bool) -> Result<Option<Said>, ParseError> {
        let mut aliases: Vec<(Owned, Owned, u32)> = Vec::new();
        let mut addresses: Vec<(Owned, IpAddr, u32)> = Vec::new();
        for record in message.answer()? {
            let record = record?;
            if record.class() != Class::IN {
                continue;
            }
            let ttl = seconds(record.ttl().as_secs());
            let owner: Owned = record.owner().to_vec();
            let address: Option<IpAddr> = match self.kind {
                Kind::V4 => record.to_record::<A>()?.map(|found| found.data().addr().into()),
                Kind::V6 => record.to_record::<Aaaa>()?.map(|found| found.data().addr().into()),
            };
            if let Some(address) = address {
                if addresses.len() < ADDRESSES_MAX {
                    addresses.push((owner, address, ttl));
                }
            } else if let Some(alias) = record.to_record::<Cname<_>>()?
                && aliases.len() < ALIASES_MAX
            {
                aliases.push((owner, alias.data().cname().to_vec(), ttl));
            }
        }
        let (mut name, mut least) = (self.name.wire(), u32::MAX);
        // Each alias is followed once: in a circle the last is where it ends.
        let mut left: Vec<_> = aliases.iter().collect();
        while let Some(at) = left.iter().position(|(owner, _, _)| owner == name) {
            let (_, target, ttl) = left.swap_remove(at);
            (name, least) = (target, least.min(*ttl));
        }
        let found: Vec<_> = addresses.iter().filter(|(owner, _, _)| owner == name).collect();
        if !found.is_empty() {
            least = found.iter().fold(least, |least, (_, _, ttl)| least.min(*ttl));
            let mut distinct: Vec<IpAddr> = Vec::new();
            for (_, address, _) in found {
                if !distinct.contains(address) {
                    distinct.push(*address);
                }
            }
            return Ok(Some(Said::Addresses(distinct, least)));
        }
        let denied = denial(message.authority()?)?;
        let ttl = denied.unwrap_or(0).min(least);
        if no_name {
            return Ok(Some(Said::NoName(ttl)));
        }
        if name != self.name.wire() && denied.is_none() {
            return Ok(Name::of_message(name).map(|name| Said::Alias(name, least)));
        }
        // Who neither asks others nor answers for the name itself does not know.
        let knows = denied.is_some() || message.header().aa() || message.header().ra();
        Ok(knows.then_some(Said::NoData(ttl)))
    }
}

/// For how long what is denied is denied, seconds (RFC 2308): of the zone's SOA record, if there is one.
fn denial(authority: RecordSection<'_, [u8]>) -> Result<Option<u32>, ParseError> {
    for record in authority {
        let record = record?;
        let ttl = seconds(record.ttl().as_secs());
        if let Some(soa) = record.to_record::<Soa<_>>()? {
            return Ok(Some(ttl.min(seconds(soa.data().minimum().as_secs()))));
        }
    }
    Ok(None)
}

/// A time to live; one whose highest bit is set is none (RFC 2181 section 8).
const fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}
