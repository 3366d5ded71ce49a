//! How much waits on either side of a socket, as the kernel answers it by ioctl.

mod world;

use usertcp_core::error::Errno;
use usertcp_core::sim::Endpoint;
use usertcp_core::stack::socket::{SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, ioctl};
use usertcp_core::stack::{Domain, Shutdown};
use world::*;

/// To be read, to be acknowledged, to be sent.
fn counts(end: &Endpoint) -> [Result<i32, Errno>; 3] {
    [SIOCINQ, SIOCOUTQ, SIOCOUTQNSD].map(|request| ioctl(&end.cell, request))
}

#[test]
fn bytes_are_counted_where_they_wait() {
    let mut plan = Plan::default();
    plan.configs[SERVER].buffers.receive = 4096;
    let mut net = network(plan);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    assert_eq!(counts(&client), [Ok(0); 3]);
    net.send(&client, &[7; 10_000]).expect("send");
    assert_eq!(counts(&client), [Ok(0), Ok(10_000), Ok(10_000)], "nothing has been sent");
    net.settle();
    let Ok(there) = ioctl(&server.cell, SIOCINQ) else { panic!() };
    assert!((2000..=4500).contains(&there), "{there}");
    assert_eq!(counts(&client), [Ok(0), Ok(10_000 - there), Ok(10_000 - there)], "the window is closed");
    net.recv(&server, 1000).expect("recv");
    assert_eq!(ioctl(&server.cell, SIOCINQ), Ok(there - 1000));
    assert_eq!(counts(&server)[1..], [Ok(0), Ok(0)]);
}

#[test]
fn the_fin_counts_as_one_until_it_is_acknowledged() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V6);
    net.send(&client, b"12345").expect("send");
    let now = net.now;
    net.hosts[CLIENT].stack.shutdown(now, client.id, Shutdown::Write).expect("shutdown");
    let mut wakers = Vec::new();
    net.hosts[CLIENT].stack.publish(now, &mut wakers);
    assert_eq!(counts(&client), [Ok(0), Ok(6), Ok(6)]);
    while net.hosts[CLIENT].stack.poll_transmit(now).is_some() {}
    net.hosts[CLIENT].stack.publish(now, &mut wakers);
    assert_eq!(counts(&client), [Ok(0), Ok(6), Ok(0)], "sent, and lost");
    net.run_for(secs(2));
    assert_eq!(counts(&client), [Ok(0); 3]);
    assert_eq!(counts(&server)[0], Ok(5), "the peer's FIN is no byte");
    net.close(&server);
    net.settle();
    assert_eq!(counts(&client), [Ok(0); 3], "over");
}

#[test]
fn where_there_is_no_connection() {
    let mut net = network(Plan::default());
    let idle = net.socket(CLIENT, Domain::V4).expect("a socket");
    assert_eq!(counts(&idle), [Ok(0); 3]);
    assert_eq!(ioctl(&idle.cell, 1), Err(Errno::ENOTTY));
    let connecting = net.connect(CLIENT, address("192.0.2.77:80")).expect("connect");
    net.settle();
    assert_eq!(counts(&connecting), [Ok(0); 3]);
    let listener = net.listen(SERVER, address(SERVER_V4), 1).expect("listen");
    assert_eq!(counts(&listener), [Err(Errno::EINVAL); 3]);
    assert_eq!(ioctl(&listener.cell, 1), Err(Errno::ENOTTY));
    net.close(&idle);
    assert_eq!(counts(&idle), [Err(Errno::EBADF); 3]);
}
