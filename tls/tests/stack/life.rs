//! Opening, closing, and what goes wrong in between.
use super::net::*;
use tls::stack::Limits;

#[test]
fn a_client_and_a_server_talk_and_part() {
    for (from, to) in [("10.0.0.1:40000", "10.0.0.99:443"), ("[fd00::1]:40000", "[fd00::99]:443")] {
        let mut net = Net::new(1, FAIR, Limits::default());
        let (client, server) = net.connect(from, to);
        let took = transfer(&mut net, (CLIENT, client), (SERVER, server), 100_000);
        println!("{took:?}");
    }
}
