//! The server: says its name.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use anyhow::Context as _;

/// Serves for ever.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
pub(super) fn main(name: &str, ports: &[&str]) -> anyhow::Result<()> {
    for port in ports {
        let at = (Ipv6Addr::UNSPECIFIED, port.parse().with_context(|| format!("no port: {port}"))?);
        let listener = TcpListener::bind(at)?;
        let socket = UdpSocket::bind(at)?;
        let line = format!("{name}\n");
        let reply = line.clone();
        thread::spawn(move || accept(&listener, &line));
        thread::spawn(move || answer(&socket, &reply));
    }
    println!("ready");
    loop {
        thread::park();
    }
}

fn accept(listener: &TcpListener, line: &str) {
    for stream in listener.incoming().flatten() {
        let line = line.to_owned();
        // An error is the client's end, and ends the conversation.
        thread::spawn(move || converse(&stream, &line));
    }
}

fn converse(mut stream: &TcpStream, line: &str) -> std::io::Result<()> {
    stream.write_all(line.as_bytes())?;
    let mut lines = BufReader::new(stream);
    let mut heard = String::new();
    while lines.read_line(&mut heard)? > 0 {
        stream.write_all(line.as_bytes())?;
    }
    Ok(())
}

fn answer(socket: &UdpSocket, line: &str) {
    let mut buffer = [0; 2048];
    loop {
        // An error is about an earlier answer that could not be delivered.
        if let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(line.as_bytes(), from);
        }
    }
}
