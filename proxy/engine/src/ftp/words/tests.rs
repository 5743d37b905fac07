use super::*;
use crate::random::Random;

/// What a line names and where, as text.
fn shown(line: &[u8], named: &Named) -> String {
    let ip = named.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
    format!("{ip} {} <{}>", named.port, String::from_utf8_lossy(&line[named.range.clone()]))
}

fn of_command(line: &[u8]) -> String {
    match command(line) {
        None => String::new(),
        Some(Command::Ask) => "asks".to_owned(),
        Some(Command::Name(named)) => shown(line, &named),
    }
}

#[test]
fn commands_say_what_they_say() {
    let cases: &[(&[u8], &str)] = &[
        (b"PORT 10,0,0,1,4,1", "10.0.0.1 1025 <10,0,0,1,4,1>"),
        (b"port 192,168,100,200,255,255", "192.168.100.200 65535 <192,168,100,200,255,255>"),
        (b"PoRt   010,0,00,1,004,1  ", "10.0.0.1 1025 <010,0,00,1,004,1>"),
        (b"PORT 10,0,0,1,0,0", ""),
        (b"PORT 10,0,0,256,4,1", ""),
        (b"PORT 10,0,0,1,4", ""),
        (b"PORT 10,0,0,1,4,", ""),
        (b"PORT 10,0,0,1,4,1,1", ""),
        (b"PORT 10,0,0,1,4,1x", ""),
        (b"PORT 10,0,0, 1,4,1", ""),
        (b"PORT 10,0,0,-1,4,1", ""),
        (b"PORT 10,0,0,+1,4,1", ""),
        (b"PORT 10,0,0,0001,4,1", ""),
        (b"PORT10,0,0,1,4,1", ""),
        (b" PORT 10,0,0,1,4,1", ""),
        (b"XPORT 10,0,0,1,4,1", ""),
        (b"PORT", ""),
        (b"PORT ", ""),
        (b"EPRT |1|10.0.0.1|1025|", "10.0.0.1 1025 <|1|10.0.0.1|1025|>"),
        (b"eprt |2|2001:db8::1|5282|", "2001:db8::1 5282 <|2|2001:db8::1|5282|>"),
        (b"EPRT !2!::1!65535! ", "::1 65535 <!2!::1!65535!>"),
        (b"EPRT |1|10.0.0.1|0|", ""),
        (b"EPRT |1|10.0.0.1|65536|", ""),
        (b"EPRT |1|10.0.0.1|+80|", ""),
        (b"EPRT |1|2001:db8::1|80|", ""),
        (b"EPRT |2|10.0.0.1|80|", ""),
        (b"EPRT |3|10.0.0.1|80|", ""),
        (b"EPRT |2|fe80::1%eth0|80|", ""),
        (b"EPRT |1|10.0.0.1|80", ""),
        (b"EPRT |1|10.0.0.1|80||", ""),
        (b"EPRT |1|10.0.0.1|80|x", ""),
        (b"EPRT .1.10.0.0.1.80.", ""),
        (b"EPRT 11110.0.0.11801", ""),
        (b"EPRT \x01" as &[u8], ""),
        (b"PASV", "asks"),
        (b"pasv ", "asks"),
        (b"EPSV", "asks"),
        (b"epsv 2", "asks"),
        (b"EPSV ALL", ""),
        (b"epsv all", ""),
        (b"PASVX", ""),
        (b"STOR PASV", ""),
        (b"", ""),
        (b"\xff\xf4\xff\xf2ABOR", ""),
    ];
    for (line, said) in cases {
        assert_eq!(of_command(line), *said, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn replies_say_what_they_say() {
    let cases: &[(&[u8], &str)] = &[
        (b"227 Entering Passive Mode (10,0,0,1,4,1).", "10.0.0.1 1025 <10,0,0,1,4,1>"),
        (b"227 Entering Passive Mode. 10,0,0,1,4,1", "10.0.0.1 1025 <10,0,0,1,4,1>"),
        (b"227 =10,0,0,1,4,1", "10.0.0.1 1025 <10,0,0,1,4,1>"),
        (b"227 10,0,0,1,4,1", "10.0.0.1 1025 <10,0,0,1,4,1>"),
        (b"227 2 of 3: 1,2,3 (0,0,0,0,200,21)", "0.0.0.0 51221 <0,0,0,0,200,21>"),
        (b"227 1000,0,0,1,4,1 (10,0,0,1,4,1)", "10.0.0.1 1025 <10,0,0,1,4,1>"),
        (b"227 (10,0,0,1,0,0)", ""),
        (b"227 (10,0,0,1,4", ""),
        (b"227-Entering Passive Mode (10,0,0,1,4,1)", ""),
        (b"227", ""),
        (b"227 ", ""),
        (b"228 Entering Long Passive Mode (10,0,0,1,4,1)", ""),
        (b" 227 (10,0,0,1,4,1)", ""),
        (b"229 Entering Extended Passive Mode (|||6446|)", "- 6446 <6446>"),
        (b"229 (hello) (!!!1!)", "- 1 <1>"),
        (b"229 (|||0|)", ""),
        (b"229 (|||65536|)", ""),
        (b"229 (||||)", ""),
        (b"229 (|||80|", ""),
        (b"229 (||!80|)", ""),
        (b"229 (11180 1)", ""),
        (b"229 (111801)", ""),
        (b"229 (|1|10.0.0.1|80|)", ""),
        (b"200 (|||80|)", ""),
    ];
    for (line, said) in cases {
        let found = reply(line).map_or(String::new(), |named| shown(line, &named));
        assert_eq!(found, *said, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn another_address_is_written_in_the_same_way() {
    let rewritten = |line: &str, addr: &str| {
        let named = match command(line.as_bytes()) {
            Some(Command::Name(named)) => named,
            _ => reply(line.as_bytes()).unwrap(),
        };
        let mut text = line.as_bytes().to_vec();
        text.splice(named.range.clone(), named.text(addr.parse().unwrap()));
        String::from_utf8(text).unwrap()
    };
    for (line, addr, after) in [
        ("PORT 1,2,3,4,5,6", "203.0.113.254:65535", "PORT 203,0,113,254,255,255"),
        ("port  100,200,100,200,100,200 ", "10.0.0.1:1024", "port  10,0,0,1,4,0 "),
        ("EPRT |1|1.2.3.4|1029|", "10.20.30.40:65535", "EPRT |1|10.20.30.40|65535|"),
        ("EPRT !2!2001:db8::1:2!1029!", "[2001:db8:2::1]:1024", "EPRT !2!2001:db8:2::1!1024!"),
        ("227 Go (10,0,0,11,200,1).", "203.0.113.1:7", "227 Go (203,0,113,1,0,7)."),
        ("229 Go (|||6446|)", "[2001:db8::1]:10", "229 Go (|||10|)"),
    ] {
        assert_eq!(rewritten(line, addr), after);
    }
}

/// Bytes that look like FTP, and whatever else: no panic, and what is named stands where it is said to.
#[test]
fn no_bytes_are_too_strange() {
    const PIECES: [&[u8]; 16] = [
        b"PORT ", b"EPRT ", b"227 ", b"229 ", b"(", b"|||", b"|", b")", b",", b"1", b"255", b"::1", b".",
        b" ", b"\xff", b"\r",
    ];
    let mut random = Random::new(11);
    for _ in 0..200_000 {
        let mut line = Vec::new();
        for _ in 0..random.next() % 14 {
            line.extend(PIECES[random.next() as usize % PIECES.len()]);
        }
        let said = match command(&line) {
            Some(Command::Name(named)) => Some(named),
            _ => reply(&line),
        };
        if let Some(named) = said {
            let addr = SocketAddr::new(named.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), named.port);
            line.splice(named.range.clone(), named.text(addr));
            let again = match command(&line) {
                Some(Command::Name(named)) => Some(named),
                _ => reply(&line),
            };
            assert_eq!(again.map(|again| (again.ip, again.port)), Some((named.ip, named.port)));
        }
    }
}
