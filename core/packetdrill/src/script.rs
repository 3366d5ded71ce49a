//! What a script says: plain values, as they stand in the text.

use std::time::Duration;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// `--name=value` and `--name` lines, in order, without the dashes. The value of `-D NAME=value` stands under `define`.
    pub options: Vec<(String, Option<String>)>,
    /// What happens, in order.
    pub events: Vec<Event>,
}

/// One thing that happens, or has to.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Line of the script that it begins in, from 1.
    pub line: u32,
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
}

/// When something happens. Relative times count from the event before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `+0.1`.
    Relative(Duration),
    /// `0.1`, from the start of the script.
    Absolute(Duration),
    /// `+0.1~+0.2`.
    RelativeRange(Duration, Duration),
    /// `0.1~0.2`.
    AbsoluteRange(Duration, Duration),
    /// `*`: whenever.
    Any,
    /// None is written: at the very beginning, as the shell lines at the top of a script.
    Unwritten,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `<` and what is behind it: a packet arrives.
    Inbound(Packet),
    /// `>` and what is behind it: the stack has to send it.
    Outbound(Packet),
    /// A call of the program.
    Call(Call),
    /// A shell line between backquotes, without them.
    Shell(String),
    /// What is between `%{` and `}%`.
    Code(String),
}

/// A call of the program and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// For one that blocks (`0.1...0.2 connect(...)`): when it has to return, counted from the same origin as its start.
    pub end: Option<Duration>,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Expression>,
    /// What it has to return.
    pub result: Expression,
    /// The name of the error that it has to set.
    pub errno: Option<String>,
    /// What stands in parentheses behind the result, as `(flags O_RDWR)`.
    pub note: Option<String>,
}

/// An argument or a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number, in any base.
    Number(i128),
    /// `...`: do not care.
    Any,
    /// A constant by name.
    Name(String),
    /// A string without its quotes, escapes resolved. `"a"...`, one that begins so, is `Binary('.', Text, Any)`.
    Text(Vec<u8>),
    /// `[a, b]`.
    List(Vec<Self>),
    /// `{a, b}`: an iovec, or fields (see [`Expression::Field`]).
    Struct(Vec<Self>),
    /// `name=value` or `name(argument)=value`, as `fd=4`, `msg_iov(1)=[...]`.
    Field(String, Option<Box<Self>>, Box<Self>),
    /// `name(arguments)`, as `htons(8080)`.
    Apply(String, Vec<Self>),
    /// `a|b`, `a&b`: the operator's character.
    Binary(char, Box<Self>, Box<Self>),
    /// `~a`, `-a`, `!a`.
    Unary(char, Box<Self>),
}

/// A packet. What is not written is `None`: not checked outbound, the language's default inbound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packet {
    /// What stands in parentheses or brackets in front, as `(tos 0x28)`, `[ect0]`.
    pub header: Header,
    /// Outer headers by name, as `gre`, `mpls`, `ipv4`, or `udp` behind a TCP segment (`udp(9811 > 9811)`), with their text. The runner knows none.
    pub encapsulation: Vec<String>,
    /// What is in it.
    pub body: Body,
}

/// Fields of the IP header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `tos N`: the whole octet, type of service or traffic class.
    pub traffic_class: Option<u8>,
    /// `ttl N`: time to live or hop limit.
    pub hop_limit: Option<u8>,
    /// `flowlabel N`.
    pub flow_label: Option<u32>,
    /// `ect0`, `ect1`, `ect01` (either), `ce`, `noecn`.
    pub ecn: Option<String>,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Segment),
    /// `udp (1000)`: a datagram of so many bytes.
    Udp {
        /// `port > port`, where written.
        ports: Option<(u16, u16)>,
        /// Bytes behind its header.
        len: u32,
    },
    /// `icmp unreachable frag_needed mtu 1400 [1:1461(1460)]`.
    Icmp {
        /// Its type by name or as a number, as `unreachable`.
        kind: String,
        /// Its code by name or as a number.
        code: Option<String>,
        /// `mtu N`.
        mtu: Option<u32>,
        /// The segment or datagram that it quotes; a bare `[seq:seq(len)]` is a [`Segment`] without flags.
        quoted: Option<Box<Self>>,
    },
}

impl Default for Body {
    fn default() -> Self {
        Self::Tcp(Segment::default())
    }
}

/// A TCP segment. Numbers are as written: counted from the initial sequence number of their sender.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// `port > port`, where written.
    pub ports: Option<(u16, u16)>,
    /// Flags as written, as `F.`, `SEW`, `-` for none; empty in a quotation without any.
    pub flags: String,
    /// First sequence number.
    pub seq: u32,
    /// `first:last(len)`: the second number, as written.
    pub end: u32,
    /// Bytes of payload.
    pub len: u32,
    /// `...(len)`: whichever sequence numbers; `seq` and `end` are 0 and mean nothing.
    pub any_seq: bool,
    /// A `!` behind the sequence numbers: they are those on the wire.
    pub absolute_seq: bool,
    /// `ack N`.
    pub ack: Option<u32>,
    /// A `!` behind the acknowledgement number: it is that on the wire.
    pub absolute_ack: bool,
    /// `win N`: the field on the wire.
    pub window: Option<u16>,
    /// `urg N`.
    pub urgent: Option<u16>,
    /// What is between `<` and `>`.
    pub options: Options,
}

/// The options of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Options {
    /// None is written: a segment has none. (Outbound, the language does not let timestamps be left out either.)
    #[default]
    None,
    /// `<...>`: whichever.
    Any,
    /// These, in this order.
    List(Vec<TcpOption>),
}

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `nop`.
    Nop,
    /// `eol`.
    End,
    /// `mss N`.
    Mss(u16),
    /// `wscale N`.
    WindowScale(u8),
    /// `sackOK`.
    SackPermitted,
    /// `sack 1:2 3:4`.
    Sack(Vec<(u32, u32)>),
    /// `TS val N ecr N`.
    Timestamps {
        /// As written; inbound it goes out like that.
        value: u32,
        /// As written: counted from the offset that the stack's timestamps begin with.
        echo: u32,
    },
    /// Any other by its name and the rest of its text, as `FO abcd`, `md5 ...`: the runner knows none.
    Other(String, String),
}
