//! Runs the commands that want to know: no shell, the facts in the environment, a few at once. About one server (or one
//! service) they run one after the other, so that whoever is told last was told the latest. Under another user a command has
//! no groups but that user's one; if there is no such user, it does not run at all.

use std::collections::{HashSet, VecDeque};
use std::fmt::Display;
use std::io;
use std::time::Duration;

use control::health::Told;
use control::health::command::{Running, words};
use control::health::probe::who;
use sched::{DestKey, ServiceKey};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tracing::{debug, warn};

/// Commands at a time.
const AT_ONCE: usize = 8;
/// Those that wait; with more, the oldest are left out.
const WAITING: usize = 4096;
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long they may take all together at the end.
const GRACE: Duration = Duration::from_secs(5);

type About = (ServiceKey, Option<DestKey>);

#[derive(Debug, Default)]
pub(super) struct Teller(Option<(mpsc::UnboundedSender<Told>, JoinHandle<()>)>);

impl Teller {
    /// Has a command told. Needs a tokio runtime, the first time.
    pub(super) fn tell(&mut self, told: Told) {
        let (sender, _) = self.0.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            (sender, tokio::spawn(run_all(receiver, LIMIT)))
        });
        // It lives as long as we do.
        let _ = sender.send(told);
    }

    /// Waits until all have been told, briefly.
    pub(super) async fn finish(&mut self) {
        if let Some((sender, all)) = self.0.take() {
            drop(sender);
            if timeout(GRACE, all).await.is_err() {
                warn!("not everybody was told of everything within {} s", GRACE.as_secs());
            }
        }
    }
}

async fn run_all(mut inbox: mpsc::UnboundedReceiver<Told>, limit: Duration) {
    let mut waiting: VecDeque<Told> = VecDeque::new();
    let mut busy: HashSet<About> = HashSet::new();
    let mut running: JoinSet<About> = JoinSet::new();
    let mut open = true;
    while open || !running.is_empty() || !waiting.is_empty() {
        tokio::select! {
            told = inbox.recv(), if open => match told {
                Some(told) => waiting.push_back(told),
                None => open = false,
            },
            Some(Ok(about)) = running.join_next() => drop(busy.remove(&about)),
        }
        if waiting.len() > WAITING
            && let Some(told) = waiting.pop_front()
        {
            warn!(command = %told.command, "too many commands wait: nobody is told that {}", told.event);
        }
        while running.len() < AT_ONCE
            && let Some(i) = waiting.iter().position(|told| !busy.contains(&about(told)))
            && let Some(told) = waiting.remove(i)
        {
            busy.insert(about(&told));
            running.spawn(async move {
                run(&told, limit).await;
                about(&told)
            });
        }
    }
}

const fn about(told: &Told) -> About {
    (told.event.service, told.event.server)
}

async fn run(told: &Told, limit: Duration) {
    let line = &told.command;
    let not_run =
        |why: &dyn Display| warn!("`{line}` is not run, and was not told that {}: {why}", told.event);
    // Lines of files have been looked at; those that come by the API have not.
    let Some(words) = words(line) else { return not_run(&"a quote begins in it that does not end") };
    let [program, arguments @ ..] = &words[..] else { return not_run(&"it names no program") };
    let mut command = Command::new(program);
    command.args(arguments).envs(told.environment());
    if let Some(user) = told.user.clone() {
        // Who that is may be asked over the network.
        let found = spawn_blocking(move || who(&user)).await.map_err(io::Error::other);
        match found.flatten() {
            Ok((user, group)) => drop(command.uid(user.as_raw()).gid(group.as_raw())),
            Err(error) => return not_run(&error),
        }
    }
    let running = match Running::start(&mut command) {
        Ok(running) => running,
        Err(error) => {
            warn!("`{line}` cannot be run, and was not told that {}: {error}", told.event);
            return;
        }
    };
    match timeout(limit, running.ended()).await {
        Ok(Ok(status)) if status.success() => debug!("`{line}` was told that {}", told.event),
        Ok(Ok(status)) => warn!("`{line}`, which was told that {}, failed: {status}", told.event),
        Ok(Err(error)) => warn!("`{line}`: {error}"),
        Err(_) => warn!("`{line}` was killed: it took longer than {} s", limit.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use control::health::{Event, EventKind};
    use sched::Proto;

    use super::*;

    fn told(command: String, server: u8, state: &str) -> Told {
        let service = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let server = Some(format!("192.168.1.{server}:80").parse().unwrap());
        let event = Event {
            service,
            server,
            kind: EventKind::Down,
            state: state.to_owned(),
            reason: "no".to_owned(),
        };
        Told { command, user: None, event }
    }

    /// A script, as there is no shell but the one that it asks for.
    fn script(dir: &std::path::Path, body: &str) -> String {
        let path = dir.join("script");
        std::fs::write(&path, body).unwrap();
        format!("/bin/sh {}", path.display())
    }

    #[tokio::test]
    async fn one_server_is_told_of_in_order_and_the_facts_are_in_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let slow_first = format!(
            "[ $ULVS_STATE = 1 ] && sleep 0.2\necho $ULVS_SERVICE $ULVS_SERVER $ULVS_STATE $# $1 $(pwd) >> {}\n",
            out.display()
        );
        let command = script(dir.path(), &slow_first) + " 'a word'";
        let mut teller = Teller::default();
        for state in ["1", "2", "3"] {
            teller.tell(told(command.clone(), 7, state));
        }
        teller.finish().await;
        let text = std::fs::read_to_string(out).unwrap();
        let line = |n| format!("tcp/10.0.0.1:80 192.168.1.7:80 {n} 1 a word /\n");
        assert_eq!(text, [line(1), line(2), line(3)].concat());
    }

    #[tokio::test]
    async fn with_who_takes_too_long_its_own_children_end() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let body = format!("sleep 1000 &\necho $! > {}\nwait\n", out.display());
        run(&told(script(dir.path(), &body), 1, "slow"), Duration::from_millis(500)).await;
        let child = std::fs::read_to_string(out).unwrap();
        let gone = || {
            // Nobody may be there to take leave of an orphan where tests run.
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        for _ in 0..1000 {
            if gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{child} still runs");
    }

    #[tokio::test]
    async fn a_command_runs_as_its_user_and_as_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        std::fs::write(&out, "").unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        std::fs::set_permissions(&out, Permissions::from_mode(0o666)).unwrap();
        let command = script(dir.path(), &format!("echo $(id -u) $(id -G) >> {}\n", out.display()));
        let mut teller = Teller::default();
        for user in ["65534:65534", "no-such-user", "no:such:user", ""] {
            teller.tell(Told { user: Some(user.to_owned()), ..told(command.clone(), 1, "up") });
        }
        teller.finish().await;
        assert_eq!(std::fs::read_to_string(out).unwrap(), "65534 65534\n");
    }

    #[tokio::test]
    async fn who_takes_too_long_is_killed_and_others_do_not_wait_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let body =
            format!("[ $ULVS_STATE = slow ] && exec sleep 1000\necho $ULVS_SERVER >> {}\n", out.display());
        let command = script(dir.path(), &body);
        let (sender, inbox) = mpsc::unbounded_channel();
        for (server, state) in [(1, "slow"), (1, "quick"), (2, "quick")] {
            sender.send(told(command.clone(), server, state)).unwrap();
        }
        sender.send(told("/no/such/program".to_owned(), 3, "quick")).unwrap();
        drop(sender);
        run_all(inbox, Duration::from_millis(500)).await;
        let text = std::fs::read_to_string(out).unwrap();
        assert_eq!(text, "192.168.1.2:80\n192.168.1.1:80\n");
    }
}
