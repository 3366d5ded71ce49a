//! The peer: a process with kernel sockets in the sandbox, which does the counterpart of what the contender does.

mod bulk;
mod churn;
mod echo;

use super::CONTROLLER;
use super::order::{Order, PORT, Role};
use super::tally::say;
use crate::Result;
use socket2::{Domain, SockRef, Socket, Type};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Runs until it is killed, or a connection ends.
pub(super) fn run(order: &Order) -> Result<()> {
    let listeners = (0..order.ports).map(|index| listen(PORT + index)).collect::<Result<Vec<_>>>()?;
    say("ready")?;
    let listener = listeners.first().ok_or("no port")?;
    let all = || (0..order.connections).map(|_| accept_for_good(listener)).collect::<Result<Vec<_>>>();
    match order.role {
        Role::Receive => bulk::send(&all()?),
        Role::Send => bulk::receive(order, &all()?),
        Role::Echo => echo::run(order, &all()?),
        Role::Beside => echo::beside(order, &all()?),
        Role::Churn => churn::run(order, listener),
        // They are open without being accepted, and take no descriptors so.
        Role::Idle => loop {
            thread::park();
        },
        Role::TimeOut => Err("a peer has no part in a time-out".into()),
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_congestion(CONTROLLER.as_bytes())?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    socket.listen(i32::MAX)?;
    verify(SockRef::from(&socket))?;
    Ok(socket.into())
}

/// The next connection.
fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    verify(SockRef::from(&stream))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same for one that is open as long as this process, which ends with it: nothing that was not delivered stays in the kernel. What the samples before have
/// left there would fill what all of TCP may have (`tcp_mem`), and the kernel would offer windows of four segments.
fn accept_for_good(listener: &TcpListener) -> Result<TcpStream> {
    let stream = accept(listener)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Sets CUBIC for a connection of the kernel that is not accepted.
pub(super) fn set_controller(socket: &Socket) -> Result<()> {
    socket.set_tcp_congestion(CONTROLLER.as_bytes())?;
    verify(SockRef::from(socket))
}

/// A figure with another congestion control is no figure.
fn verify(socket: SockRef<'_>) -> Result<()> {
    let bytes = socket.tcp_congestion()?;
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    if name == CONTROLLER.as_bytes() {
        return Ok(());
    }
    Err(format!("a socket has {} where {CONTROLLER} was set", String::from_utf8_lossy(name)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};

    #[test]
    fn a_connection_is_reset_with_the_peer() {
        let listener = listen(0).expect("a listener");
        let to = (Ipv4Addr::LOCALHOST, listener.local_addr().expect("its address").port());
        let mut stream = TcpStream::connect(to).expect("a connection");
        drop(accept_for_good(&listener).expect("the other end"));
        let error = stream.read(&mut [0]).expect_err("it is no end as usual");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
