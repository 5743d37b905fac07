//! What comes in place of a ClientHello, and ClientHellos that come oddly.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::process::Stdio;
use std::time::Instant;

use super::hello::{Hello, alert_of};
use super::scene::{Scene, both, to_the_end};
use crate::support::printed;

fn prepare(scene: &Scene<'_>) {
    scene.add(&scene.pair("one.example", ""));
}

#[test]
fn plain_http_is_told_so_in_clear() {
    both(|scene| {
        prepare(scene);
        let text = printed(&scene.sh("curl -sS --max-time 30 -i http://$AT/"));
        assert!(text.starts_with("HTTP/1.1 400 ") && text.to_lowercase().contains("https"), "{text}");
        for request in ["GET / HTTP/1.0\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE "] {
            let answer = scene.answer(request.as_bytes());
            assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
        }
        // In single bytes.
        let mut stream = scene.connect();
        for byte in b"OPTIONS * HTTP/1.1" {
            // It may have heard enough.
            let _ = stream.write_all(&[*byte]);
        }
        assert!(to_the_end(&mut stream).starts_with(b"HTTP/1.1 400 "));
        drop(stream);
        assert_eq!(scene.counter("plain-http"), 5);
        scene.wait_idle();
    });
}

#[test]
fn a_hello_in_single_bytes_is_a_hello() {
    both(|scene| {
        prepare(scene);
        let mut stream = scene.connect();
        for byte in Hello::default().record() {
            stream.write_all(&[byte]).unwrap();
        }
        // A ServerHello; the rest of the handshake is for those who have keys.
        let mut head = [0; 6];
        stream.read_exact(&mut head).unwrap();
        assert_eq!((head[0], head[5]), (22, 2), "{head:?}");
        drop(stream);
        // In records of one byte each it is one, too.
        let message = Hello::default().message();
        let records: Vec<u8> = message.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
        let mut stream = scene.connect();
        stream.write_all(&records).unwrap();
        stream.read_exact(&mut head).unwrap();
        assert_eq!((head[0], head[5]), (22, 2), "{head:?}");
        drop(stream);
        scene.wait_idle();
    });
}

#[test]
fn a_hello_may_have_64_kib_and_not_more() {
    both(|scene| {
        prepare(scene);
        for len in [1 << 10, 12 << 10, 65_000] {
            let hello = Hello::default().padded(len).records(16_000);
            let mut stream = scene.connect();
            stream.write_all(&hello).unwrap();
            let mut head = [0; 6];
            stream.read_exact(&mut head).unwrap();
            assert_eq!((head[0], head[5]), (22, 2), "{len}: {head:?}");
        }
        let hello = Hello::default().padded(65_400).records(16_000);
        let alert = alert_of(&scene.answer(&hello));
        assert!(matches!(alert, Some(10 | 47 | 50)), "{alert:?}");
        scene.wait_idle();
    });
}

#[test]
fn garbage_gets_an_alert() {
    both(|scene| {
        prepare(scene);
        let mut seed = 7_u32;
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8 | 0x80
        });
        let noise: Vec<u8> = noise.take(20_000).collect();
        for bytes in
            [&noise[..], &noise[..100], &[0; 4096], b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\xff\xff"]
        {
            let alert = alert_of(&scene.answer(bytes));
            assert!(matches!(alert, Some(10 | 22 | 50)), "{alert:?} to {:02x?}", &bytes[..5]);
        }
        // SSLv2.
        let v2 = [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10];
        assert!(matches!(alert_of(&scene.answer(&[&v2[..], &[7; 40]].concat())), Some(10 | 50)), "SSLv2");
        scene.wait_idle();
    });
}

#[test]
fn nobody_negotiates_again() {
    both(|scene| {
        prepare(scene);
        // `R` at the beginning of a line asks for it; the page afterwards shows what the session is good for.
        let mut command = scene.lab.client.command("timeout");
        command.args(["20", "openssl", "s_client", "-tls1_2", "-connect", &scene.vip.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"R\n").unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let text = printed(&output);
        assert!(text.contains("RENEGOTIATING"), "{text}");
        assert!(text.contains("no renegotiation") || text.contains("alert"), "{text}");
        scene.wait_idle();
        assert_eq!(scene.counter("handshakes-full"), 1);
    });
}

#[test]
fn who_takes_his_time_over_the_handshake_is_turned_away() {
    both(|scene| {
        scene.add(&format!("{} --handshake-timeout 2s", scene.pair("one.example", "")));
        let hello = Hello::default().record();
        // Nothing; a byte; half of it; a byte now and then; and all of it, with nothing after.
        let mut streams: Vec<_> = (0..5).map(|_| scene.connect()).collect();
        let began = Instant::now();
        streams[1].write_all(&hello[..1]).unwrap();
        streams[2].write_all(&hello[..hello.len() / 2]).unwrap();
        streams[4].write_all(&hello).unwrap();
        let mut slow = streams.swap_remove(3);
        let drip = std::thread::spawn(move || {
            for byte in hello {
                if slow.write_all(&[byte]).is_err() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            to_the_end(&mut slow);
        });
        scene.wait_counter("handshakes-open", 5);
        for stream in &mut streams {
            to_the_end(stream);
        }
        drip.join().unwrap();
        assert!(began.elapsed().as_secs_f64() >= 1.9, "{:?}", began.elapsed());
        scene.wait_idle();
        assert_eq!(scene.counter("timeout-handshake"), 5, "{:?}", scene.counters());
        // A client that has only stopped talking is not one of them.
        let stream = scene.connect();
        stream.shutdown(Shutdown::Write).unwrap();
        drop(stream);
        scene.wait_idle();
        scene.works("one.example", "");
    });
}
