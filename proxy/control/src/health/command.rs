//! Commands that are run about servers, those of checks and those that are told: in `/`, in a process group of their own,
//! hearing nothing and not heard. With who waits for one ends all of its group; what it left behind when it ended by itself goes on.
//! It inherits our environment without what that says to us alone. What it is about stands there, too:
//!
//! | variable | |
//! |---|---|
//! | `ULVS_SERVICE` | `tcp/10.0.0.1:80`, `fwm/3` |
//! | `ULVS_PROTOCOL` | `tcp`, `udp`, `sctp`; empty for a mark |
//! | `ULVS_VIP`, `ULVS_VPORT` | empty for a mark |
//! | `ULVS_MARK` | empty without one |
//! | `ULVS_SERVER` | `192.168.1.1:80`; empty where it is about the whole service |
//! | `ULVS_RIP`, `ULVS_RPORT` | the server's; of a check, where it is asked: at the check's own address and port, if it has some |
//! | `ULVS_STATE` | of a check `up` or `down`, what the server is taken for now; else in the words of `ulvs health` |
//! | `ULVS_EVENT`, `ULVS_REASON` | what has happened and why, for those that are told |

use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sched::{DestKey, ServiceKey};
use tokio::process::{Child, Command};

/// What whoever has started us says to us alone: a command that believed it would be ready in our place, feed our watchdog, or
/// take sockets for its own that it has not.
const OURS: [&str; 7] = [
    "ULVS_READINESS",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Takes a command line apart: blanks separate the program and its arguments, except within quotes. There is no shell, so
/// that nothing else has a meaning. `None`: a quote does not end.
pub fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The facts about a server, or a whole service. `at` is where it is asked.
pub(super) fn facts(
    service: ServiceKey,
    server: Option<DestKey>,
    at: Option<SocketAddr>,
    state: &str,
) -> [(&'static str, String); 9] {
    let mark = match service {
        ServiceKey::Mark { mark, .. } => mark.0.to_string(),
        ServiceKey::Addr { .. } => String::new(),
    };
    let text = |what: Option<String>| what.unwrap_or_default();
    [
        ("ULVS_SERVICE", service.word()),
        ("ULVS_PROTOCOL", text(service.proto().map(|proto| proto.name().to_ascii_lowercase()))),
        ("ULVS_VIP", text(service.vip().map(|vip| vip.to_string()))),
        ("ULVS_VPORT", text(service.l4_port().map(|port| port.to_string()))),
        ("ULVS_MARK", mark),
        ("ULVS_SERVER", text(server.map(|server| server.to_string()))),
        ("ULVS_RIP", text(at.map(|at| at.ip().to_string()))),
        ("ULVS_RPORT", text(at.map(|at| at.port().to_string()))),
        ("ULVS_STATE", state.to_owned()),
    ]
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its group, until it has ended.
    group: Option<Pid>,
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for name in OURS {
            command.env_remove(name);
        }
        let child = command.spawn()?;
        let group = child.id().and_then(|id| id.try_into().ok()).map(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The kernel does not know it.
    pub async fn ended(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.group = None;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // The first of the group is our child and has not been waited for: the number is nobody else's. The runtime
            // takes leave of it.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn blanks_separate_arguments_and_quotes_keep_them() {
        let some = |all: &[&str]| Some(all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words("/bin/x  a 'b c' \"d 'e\" ''"), some(&["/bin/x", "a", "b c", "d 'e", ""]));
        assert_eq!(words("a\\b \t$c"), some(&["a\\b", "$c"]));
        assert_eq!(words(" "), some(&[]));
        assert_eq!(words("a 'b \"c"), None);
    }
}
