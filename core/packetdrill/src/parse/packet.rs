//! Packets: what stands behind `<` and `>`.

use super::ParseError;
use super::cursor::{Cursor, is_word};
use crate::script::{Body, Header, Options, Packet, Segment, TcpOption};

/// Flags of a segment, `.` (ACK) aside.
const FLAGS: &str = "FSRPUEWCAN";

impl Cursor<'_> {
    pub(super) fn packet(&mut self) -> Result<Packet, ParseError> {
        let mut packet = Packet::default();
        while let Some(outer) = self.outer_header()? {
            packet.encapsulation.push(outer);
        }
        while self.eat("(") {
            self.header(&mut packet.header, ")")?;
        }
        while self.eat("[") {
            self.header(&mut packet.header, "]")?;
        }
        packet.body = match self.peek_word() {
            "icmp" => self.icmp(&mut packet.encapsulation)?,
            "udp" => self.datagram()?,
            _ => Body::Tcp(self.segment(Written::Whole)?),
        };
        for (mark, end) in [("/", ")"), ("{", "}")] {
            if self.eat(mark) {
                let text = format!("{}{end}", self.until(end)?.trim());
                packet.encapsulation.push(text);
            }
        }
        Ok(packet)
    }

    /// `ipv4 a > b:`, `ipv6 a > b:`, `gre ...:`, `mpls ...:`.
    fn outer_header(&mut self) -> Result<Option<String>, ParseError> {
        let place = self.place();
        match self.peek_word() {
            "ipv4" | "ipv6" => {
                self.word();
                while self.eat("(") || self.eat("[") {
                    self.run(|c| c != ')' && c != ']' && c != '\n');
                    self.skip(1);
                }
                self.address()?;
                self.need(">")?;
                // The address ends in the colon that ends the header, where no blank is between.
                let last = self.address()?;
                if !last.ends_with(':') || last.ends_with("::") && self.eat(":") {
                    self.need(":")?;
                }
            }
            "gre" | "GREv0" | "mpls" => {
                self.until(":")?;
            }
            _ => return Ok(None),
        }
        Ok(Some(self.since(place).trim().trim_end_matches(':').trim_end().to_owned()))
    }

    fn address(&mut self) -> Result<&str, ParseError> {
        self.blanks();
        let place = self.place();
        let address = self.run(|c| is_word(c) || c == ':' || c == '.');
        if address.is_empty() {
            return Err(self.expected_at(place, "an address"));
        }
        Ok(address)
    }

    /// Fields of the IP header, up to and with `close`.
    fn header(&mut self, header: &mut Header, close: &str) -> Result<(), ParseError> {
        loop {
            self.blanks();
            let place = self.place();
            match self.word() {
                Some(name @ ("ect0" | "ect1" | "ect01" | "ce" | "noecn")) => {
                    header.ecn = Some(name.to_owned())
                }
                Some("tos") => header.traffic_class = Some(self.number_of("an octet")?),
                Some("ttl" | "hlim") => header.hop_limit = Some(self.number_of("an octet")?),
                Some("flowlabel") => {
                    let label: u32 = self.number_of("a label of 20 bits")?;
                    if label >= 1 << 20 {
                        return Err(self.expected_at(place, "a label of 20 bits"));
                    }
                    header.flow_label = Some(label);
                }
                _ => {
                    return Err(
                        self.expected_at(place, "tos, ttl, hlim, flowlabel, ect0, ect1, ect01, ce or noecn")
                    );
                }
            }
            if self.eat(close) {
                return Ok(());
            }
            self.need(",")?;
        }
    }

    fn icmp(&mut self, beyond: &mut Vec<String>) -> Result<Body, ParseError> {
        self.word();
        let name = |cursor: &mut Self| {
            let word = cursor.peek_word();
            cursor.skip(word.len());
            (!word.is_empty()).then(|| word.to_owned())
        };
        let Some(kind) = name(self) else { return Err(self.expected("a type of ICMP, as unreachable")) };
        let code = match self.peek_word() {
            "mtu" | "id" | "udp" => None,
            // The time of the next event is no code: codes as numbers stand on the same line.
            word if word.starts_with(|c: char| c.is_ascii_digit()) && self.begins_event() => None,
            _ => name(self),
        };
        let mtu = if self.eat_word("mtu") { Some(self.number_of("an MTU")?) } else { None };
        if self.eat_word("id") {
            beyond.push(format!("icmp id {}", self.number()?));
        }
        let mut quoted = None;
        if self.eat("[") {
            if self.eat_word("raw") {
                self.need("(")?;
                beyond.push(format!("icmp raw ({})", self.number()?));
                self.need(")")?;
            } else if self.peek_word() == "udp" {
                quoted = Some(Box::new(self.datagram()?));
            } else {
                quoted = Some(Box::new(Body::Tcp(self.segment(Written::Quoted)?)));
            }
            self.need("]")?;
        }
        Ok(Body::Icmp { kind, code, mtu, quoted })
    }

    /// Whether a line began since the last word.
    fn begins_event(&self) -> bool {
        self.before().trim_end_matches([' ', '\t']).ends_with('\n')
    }

    fn datagram(&mut self) -> Result<Body, ParseError> {
        self.word();
        let mut ports = self.ports()?;
        self.need("(")?;
        let len = self.number_of("a length")?;
        if self.eat(">") {
            // `udp(9811 > 80)`, as in a header: nothing is in it.
            let from = u16::try_from(len).map_err(|_| self.expected("a port before '>'"))?;
            ports = Some((from, self.number_of("a port")?));
            self.need(")")?;
            return Ok(Body::Udp { ports, len: 0 });
        }
        self.need(")")?;
        Ok(Body::Udp { ports, len })
    }

    fn ports(&mut self) -> Result<Option<(u16, u16)>, ParseError> {
        if !self.peek_word().starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let from = self.number_of("a port")?;
        self.need(">")?;
        Ok(Some((from, self.number_of("a port")?)))
    }

    fn segment(&mut self, written: Written) -> Result<Segment, ParseError> {
        let mut segment = Segment::default();
        self.blanks();
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        if digit(self.peek()) {
            let first: u32 = self.number_of("a port or sequence number")?;
            if self.eat(":") {
                if written == Written::Whole {
                    return Err(self.expected("flags before sequence numbers"));
                }
                self.sequence_from(first, &mut segment)?;
                return Ok(segment);
            }
            let from = u16::try_from(first).map_err(|_| self.expected("a port before it"))?;
            self.need(">")?;
            segment.ports = Some((from, self.number_of("a port")?));
        }
        segment.flags = self.flags()?;
        self.blanks();
        if self.eat("...") {
            segment.any_seq = true;
            self.length(&mut segment)?;
        } else {
            let first = self.number_of("a sequence number")?;
            self.need(":")?;
            self.sequence_from(first, &mut segment)?;
        }
        self.fields(&mut segment)?;
        Ok(segment)
    }

    /// `F.`, `SEW`, `.5`, `-`.
    fn flags(&mut self) -> Result<String, ParseError> {
        self.blanks();
        let place = self.place();
        let letters = self.run(|c| FLAGS.contains(c));
        let mut end = self.place();
        if letters.is_empty() && self.rest().starts_with('-') {
            self.skip(1);
            end = self.place();
        } else if self.rest().starts_with('.') && !self.rest().starts_with("...") {
            self.skip(1);
            self.run(|c| c.is_ascii_digit());
            // Flags may stand on either side of the dot.
            self.run(|c| FLAGS.contains(c));
            end = self.place();
        }
        if end == place || !self.rest().starts_with(|c: char| c.is_whitespace() || c == '/') {
            return Err(self.expected_at(place, "flags such as S, F., P. or -"));
        }
        Ok(self.since(place).to_owned())
    }

    fn sequence_from(&mut self, first: u32, segment: &mut Segment) -> Result<(), ParseError> {
        segment.seq = first;
        self.blanks();
        let place = self.place();
        segment.end = self.number_of("a sequence number")?;
        self.length(segment)?;
        if segment.end != first.wrapping_add(segment.len) {
            return Err(self.expected_at(place, format!("{} here", first.wrapping_add(segment.len))));
        }
        segment.absolute_seq = self.eat("!");
        Ok(())
    }

    fn length(&mut self, segment: &mut Segment) -> Result<(), ParseError> {
        self.need("(")?;
        segment.len = self.number_of("a length")?;
        self.need(")")
    }

    /// What may stand behind the sequence numbers.
    fn fields(&mut self, segment: &mut Segment) -> Result<(), ParseError> {
        loop {
            match self.peek_word() {
                "ack" => {
                    self.word();
                    if self.eat("...") {
                        continue;
                    }
                    segment.ack = Some(self.number_of("an acknowledgement number")?);
                    segment.absolute_ack = self.eat("!");
                }
                "win" => {
                    self.word();
                    if !self.eat("...") {
                        segment.window = Some(self.number_of("a window of 16 bits")?);
                    }
                }
                "urg" => {
                    self.word();
                    segment.urgent = Some(self.number_of("an urgent pointer of 16 bits")?);
                }
                _ => break,
            }
        }
        if self.eat("<") {
            segment.options = self.options()?;
        }
        Ok(())
    }

    fn options(&mut self) -> Result<Options, ParseError> {
        if self.eat("...") {
            self.need(">")?;
            return Ok(Options::Any);
        }
        let mut list = Vec::new();
        if self.eat(">") {
            return Ok(Options::None);
        }
        loop {
            list.push(self.tcp_option()?);
            if self.eat(">") {
                return Ok(Options::List(list));
            }
            if !self.eat(",") {
                return Err(self.expected("',' or '>'"));
            }
        }
    }

    fn tcp_option(&mut self) -> Result<TcpOption, ParseError> {
        let Some(name) = self.word() else {
            return Err(self.expected("an option such as mss, sackOK or nop"));
        };
        Ok(match name {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::End,
            "mss" => TcpOption::Mss(self.number_of("a segment size of 16 bits")?),
            "wscale" => TcpOption::WindowScale(self.number_of("a shift of 8 bits")?),
            "sackOK" => TcpOption::SackPermitted,
            "sack" => {
                let mut blocks = Vec::new();
                loop {
                    let left = self.number_of("a sequence number")?;
                    self.need(":")?;
                    blocks.push((left, self.number_of("a sequence number")?));
                    if !self.peek_word().starts_with(|c: char| c.is_ascii_digit()) {
                        return Ok(TcpOption::Sack(blocks));
                    }
                }
            }
            "TS" => {
                if !self.eat_word("val") {
                    return Err(self.expected("'val'"));
                }
                let value = self.number_of("a timestamp of 32 bits")?;
                if !self.eat_word("ecr") {
                    return Err(self.expected("'ecr'"));
                }
                TcpOption::Timestamps { value, echo: self.number_of("a timestamp of 32 bits")? }
            }
            other => {
                let place = self.place();
                self.run(|c| c != ',' && c != '>' && c != '\n');
                let text = self.since(place).trim();
                TcpOption::Other(other.to_owned(), self.definition(text).unwrap_or(text).to_owned())
            }
        })
    }
}

/// How much of a segment is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// All of it.
    Whole,
    /// In the quotation of an ICMP message flags may be left out.
    Quoted,
}
