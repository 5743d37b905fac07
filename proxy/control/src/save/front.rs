//! Fronts in a saved file: `tls SERVICE SETTINGS` behind [`OURS`](super::OURS), the settings as the control socket has
//! them. In words of `ulvs tls add` names of files with blanks would be torn apart.

use std::fmt;
use std::sync::Arc;

use sched::{Op, ServiceSpec, TlsFront};

const WORD: &str = "tls ";

/// Writes the line of a service that has a front.
pub(super) fn write(out: &mut impl fmt::Write, service: &ServiceSpec) -> fmt::Result {
    let Some(tls) = &service.tls else { return Ok(()) };
    let json = serde_json::to_string(tls).map_err(|_| fmt::Error)?;
    writeln!(out, "{}{WORD}{} {json}", super::OURS, service.key.word())
}

/// The edit that such a line stands for, its mark taken off; `None` if it is another line.
pub fn front(line: &str) -> Option<Result<Op, String>> {
    let (word, json) = line.strip_prefix(WORD)?.split_once(' ').unwrap_or_default();
    let key = match word.parse() {
        Ok(key) => key,
        Err(error) => return Some(Err(format!("{error}"))),
    };
    let tls = serde_json::from_str::<TlsFront>(json);
    let op = |tls| Op::SetTls { key, tls: Some(Arc::new(tls)) };
    Some(tls.map(op).map_err(|error| format!("the settings of the front make no sense: {error}")))
}

#[cfg(test)]
mod tests {
    use sched::CertFiles;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut service = ServiceSpec::new("tcp/[fd00::1]:443".parse().unwrap(), "rr");
        let mut text = String::new();
        write(&mut text, &service).unwrap();
        assert_eq!(text, "");
        let pair = CertFiles { cert: "/a b.crt".into(), key: "/ä.key".into(), ocsp: None };
        service.tls = Some(Arc::new(TlsFront { server_port: Some(80), ..TlsFront::new(pair) }));
        write(&mut text, &service).unwrap();
        let line = text.strip_prefix("#ulvs ").unwrap().trim_end();
        assert!(line.starts_with("tls tcp/[fd00::1]:443 {\"port\":443,"), "{line}");
        let expected = Op::SetTls { key: service.key, tls: service.tls };
        assert_eq!(front(line), Some(Ok(expected)));
    }

    #[test]
    fn other_lines_are_others_and_broken_ones_are_named() {
        assert_eq!(front("-A -t 10.0.0.1:80 -s rr"), None);
        for (line, expected) in [
            ("tls ", "is no service"),
            ("tls tcp/10.0.0.1 {}", "`tcp/10.0.0.1` is no service"),
            ("tls tcp/10.0.0.1:443 {}", "the settings of the front make no sense: missing field `certs`"),
            ("tls tcp/10.0.0.1:443 --cert a", "the settings of the front make no sense"),
        ] {
            let error = front(line).unwrap().unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
