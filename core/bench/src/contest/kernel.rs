//! Linux as a contender: in the sandbox itself, over its loopback.

use super::order::{ADDRESSES, BUFFER, Order, Role};
use super::peer::set_controller;
use super::tally::{Tally, say};
use crate::Result;
use crate::aligned::Aligned;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// Runs as the order says, for ever.
pub(super) fn run(order: &Order) -> Result<()> {
    if order.role == Role::Churn {
        return churn(order);
    }
    let streams = (0..order.connections).map(|index| connect(order, index)).collect::<Result<Vec<_>>>()?;
    say("open")?;
    let stream = streams.first().ok_or("no connection")?;
    match order.role {
        Role::Receive => receive(stream, Tally::start(order, 1)),
        Role::Send => send(stream),
        Role::Echo => echo(stream),
        Role::Beside => {
            let second = streams.get(1).ok_or("no second connection")?;
            let tally = Tally::start(order, 0);
            thread::scope(|scope| {
                scope.spawn(move || receive(second, tally));
                echo(stream)
            })
        }
        Role::Churn | Role::Idle | Role::TimeOut => {
            Err(format!("the kernel has no part in {}", order.role).into())
        }
    }
}

fn connect(order: &Order, index: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    set_controller(&socket)?;
    socket.connect(&order.peer(index).into())?;
    socket.set_tcp_nodelay(true)?;
    // As the peer's do, it leaves nothing behind.
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(socket.into())
}

fn receive(mut stream: &TcpStream, mut tally: Tally) -> Result<()> {
    let mut bytes = Aligned::zeroed(BUFFER);
    loop {
        let length = stream.read(&mut bytes)?;
        if length == 0 {
            return Err("the connection has ended".into());
        }
        tally.add(0, length as u64);
        tally.look()?;
    }
}

fn send(mut stream: &TcpStream) -> Result<()> {
    let bytes = Aligned::zeroed(BUFFER);
    loop {
        let _ = stream.write(&bytes)?;
    }
}

fn echo(mut stream: &TcpStream) -> Result<()> {
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
}

fn churn(order: &Order) -> Result<()> {
    say("open")?;
    let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), order.port(0));
    let mut byte = [0x55];
    for address in (0..ADDRESSES).cycle() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        set_controller(&socket)?;
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, address + 1)), 0);
        socket.bind(&from.into())?;
        socket.connect(&to.into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
    }
    Ok(())
}
