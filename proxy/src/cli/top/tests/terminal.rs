//! The terminal after a panic, seen from outside: this test runs itself on a terminal of script(1).

use std::process::{Command, Stdio};

use super::super::live::on_terminal;

/// Set for this program when it is to do the test itself.
const INSIDE: &str = "ULVS_TEST_PANIC";

#[test]
fn the_terminal_is_put_back_before_a_panic_is_told() {
    if std::env::var_os(INSIDE).is_some() {
        let outcome = on_terminal(|_| -> anyhow::Result<()> { panic!("it went wrong") });
        panic!("nobody gets here: {outcome:?}");
    }
    let exe = std::env::current_exe().unwrap();
    let test = std::thread::current().name().unwrap().to_owned();
    let run = format!("'{}' --exact {test} --nocapture; stty -a", exe.display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &run, "/dev/null"]).env(INSIDE, "1");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text:?}"));
    let (entered, left) = (at("\x1b[?1049h"), at("\x1b[?1049l"));
    assert!(entered < left && left < at("it went wrong"), "{text:?}");
    assert!(at(" icanon") > left && at(" echo ") > left, "it echoes and edits again: {text:?}");
}
