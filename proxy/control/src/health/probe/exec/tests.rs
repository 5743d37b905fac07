use std::time::Duration;

use sched::{CheckKind, ServiceKey, Weight};
use tokio::time::{Instant, sleep};

use super::super::tests::{SHORT, ask, ask_for, nobody, target, tools, why};
use super::super::{Question, Success, Target, Weighting};
use super::*;

fn shell(script: &str) -> ExecCheck {
    ExecCheck { command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..ExecCheck::default() }
}

async fn ends(script: &str, dynamic: bool) -> Result<Success, String> {
    ask(CheckKind::Exec(ExecCheck { dynamic, ..shell(script) }), nobody().await).await
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Nobody may be there to take leave of an orphan where tests run.
    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

/// What a script has written to this file, once it has.
async fn written(path: &std::path::Path) -> String {
    for _ in 0..1000 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("nothing has been written to {}", path.display());
}

#[tokio::test]
async fn the_exit_code_decides() {
    assert_eq!(ends("exit 0", false).await, Ok(Success::default()));
    assert_eq!(ends("exit 1", false).await, Err("exit code 1".to_owned()));
    assert_eq!(ends("exit 12", false).await, Err("exit code 12".to_owned()));
}

#[tokio::test]
async fn with_dynamic_it_is_a_weight_from_2_on() {
    let weight = |n| Ok(Success { weight: Some(Weighting::Absolute(Weight(n))) });
    assert_eq!(ends("exit 0", true).await, Ok(Success::default()));
    assert_eq!(ends("exit 1", true).await, Err("exit code 1".to_owned()));
    assert_eq!(ends("exit 2", true).await, weight(0));
    assert_eq!(ends("exit 3", true).await, weight(1));
    assert_eq!(ends("exit 255", true).await, weight(253));
}

#[tokio::test]
async fn a_signal_is_named() {
    assert_eq!(ends("kill -SEGV $$", false).await, Err("ended by SIGSEGV".to_owned()));
    assert_eq!(ends("kill -TERM $$", true).await, Err("ended by SIGTERM".to_owned()));
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let command = vec!["/nonexistent/check".to_owned()];
    let why = why(CheckKind::Exec(ExecCheck { command, ..ExecCheck::default() }), nobody().await).await;
    assert_eq!(why, "cannot run `/nonexistent/check`: no such file or directory");
}

#[tokio::test]
async fn a_file_that_is_no_program_is_named() {
    for path in ["/etc/passwd", "/etc"] {
        let command = vec![path.to_owned()];
        let why = why(CheckKind::Exec(ExecCheck { command, ..ExecCheck::default() }), nobody().await).await;
        assert_eq!(why, format!("may not run `{path}`: is it executable, for that user too?"));
    }
}

#[test]
fn who_may_not_become_another_user_is_told_what_that_takes() {
    let cannot = |user: Option<&str>, errno: Errno| {
        let check = ExecCheck { user: user.map(str::to_owned), ..shell("exit 0") };
        Ready::new(&check).unwrap().cannot(&errno.into())
    };
    let may_not_become = "may not become `nobody`: that takes CAP_SETUID and CAP_SETGID";
    let may_not_run = "may not run `/bin/sh`: is it executable, for that user too?";
    assert_eq!(cannot(Some("nobody"), Errno::EPERM), may_not_become);
    assert_eq!(cannot(Some("nobody"), Errno::EACCES), may_not_run);
    assert_eq!(cannot(None, Errno::EPERM), may_not_run);
}

#[tokio::test]
async fn when_the_time_is_over_all_of_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}.new; mv {0}.new {0}; wait", pids.display());
    let started = Instant::now();
    let result = ask_for(SHORT, CheckKind::Exec(shell(&script)), nobody().await).await;
    assert_eq!(result, Err("still running after 300 ms".to_owned()));
    assert!(started.elapsed() < Duration::from_secs(100));
    let pids: Vec<i32> = written(&pids).await.split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    for _ in 0..1000 {
        if !pids.iter().any(|pid| alive(*pid)) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("one of {pids:?} runs on");
}

#[tokio::test]
async fn it_hears_nothing_is_not_heard_and_runs_in_a_group_of_its_own_in_the_root() {
    let script = "read line && exit 3; seq 100000; seq 100000 >&2; [ $(pwd) = / ] || exit 4; \
                  [ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] || exit 5";
    assert_eq!(ends(script, false).await, Ok(Success::default()));
}

#[tokio::test]
async fn the_facts_are_in_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("facts");
    let script = format!(
        "env | grep -E '^ULVS_(MARK|PROTOCOL|RIP|RPORT|SERVER|SERVICE|STATE|VIP|VPORT)=' | sort > {}.new; mv {0}.new {0}",
        file.display()
    );
    let check = sched::Check { timeout: 20_000, ..sched::Check::new(CheckKind::Exec(shell(&script))) };
    let question = Question::new(&check, &tools());
    let dest = "192.168.1.1:8080".parse().unwrap();
    let server = "192.168.9.9:81".parse().unwrap();
    let facts = async |target: &Target| {
        assert_eq!(question.ask(target).await.result, Ok(Success::default()));
        written(&file).await.replace('\n', " ")
    };
    let target = Target { dest, up: false, ..target(server) };
    assert_eq!(
        facts(&target).await,
        "ULVS_MARK= ULVS_PROTOCOL=tcp ULVS_RIP=192.168.9.9 ULVS_RPORT=81 ULVS_SERVER=192.168.1.1:8080 \
         ULVS_SERVICE=tcp/10.0.0.1:80 ULVS_STATE=down ULVS_VIP=10.0.0.1 ULVS_VPORT=80"
    );
    let service = ServiceKey::Mark { mark: sched::Mark(3.try_into().unwrap()), family: sched::Family::Ipv4 };
    assert_eq!(
        facts(&Target { service, up: true, ..target }).await,
        "ULVS_MARK=3 ULVS_PROTOCOL= ULVS_RIP=192.168.9.9 ULVS_RPORT=81 ULVS_SERVER=192.168.1.1:8080 \
         ULVS_SERVICE=fwm/3 ULVS_STATE=up ULVS_VIP= ULVS_VPORT="
    );
}

#[tokio::test]
async fn another_user_has_no_groups_but_its_own() {
    let run = async |user: &str, script: &str| {
        let check = ExecCheck { user: Some(user.to_owned()), ..shell(script) };
        ask(CheckKind::Exec(check), nobody().await).await
    };
    let ids = "[ \"$(id -u):$(id -g):$(id -G)\" = ";
    assert_eq!(run("nobody", &format!("{ids} 65534:65534:65534 ]")).await, Ok(Success::default()));
    assert_eq!(run("nobody:daemon", &format!("{ids} 65534:1:1 ]")).await, Ok(Success::default()));
    assert_eq!(run("65534:1", &format!("{ids} 65534:1:1 ]")).await, Ok(Success::default()));
    assert_eq!(run("12345:54321", &format!("{ids} 12345:54321:54321 ]")).await, Ok(Success::default()));
    let none = "there is no user `ulvs-nobody` on this host";
    assert_eq!(run("ulvs-nobody", "exit 0").await, Err(none.to_owned()));
    assert_eq!(run("12345", "exit 0").await, Err("there is no user `12345` on this host".to_owned()));
    let none = "there is no group `ulvs-none` on this host";
    assert_eq!(run("nobody:ulvs-none", "exit 0").await, Err(none.to_owned()));
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    let command = |words: &[&str]| ExecCheck {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        ..ExecCheck::default()
    };
    for (wrong, part) in [
        (command(&[]), "no command"),
        (command(&["", "x"]), "no command"),
        (command(&["./check"]), "from `/` on"),
        (command(&["/bin/true", "a\0b"]), "NUL"),
        (ExecCheck { user: Some(String::new()), ..command(&["true"]) }, "no user"),
        (ExecCheck { user: Some(":daemon".to_owned()), ..command(&["true"]) }, "no user"),
    ] {
        let why = check(&wrong).expect_err(part);
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(check(&command(&["/not/there"])), Ok(()), "it may come to be");
    assert_eq!(check(&command(&["true"])), Ok(()));
}
