use std::path::PathBuf;

use sched::{CheckKind, FileCheck};

use super::super::tests::{ask, nobody, soon_why, why};
use super::super::{Success, Weighting};
use super::Ready;

fn check(path: impl Into<PathBuf>) -> FileCheck {
    FileCheck { path: path.into(), weight: 1, reverse: false, dynamic: false }
}

fn judge(check: FileCheck, said: &str) -> Result<Option<Weighting>, String> {
    Ready::new(&check).unwrap().judge(said.as_bytes()).map(|Success { weight }| weight)
}

#[tokio::test]
async fn a_file_takes_a_server_out_and_its_end_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("down");
    let kind = CheckKind::File(check(&path));
    let server = nobody().await;
    assert_eq!(ask(kind.clone(), server).await, Ok(Success::default()), "it is missing");
    std::fs::write(&path, "1\n").unwrap();
    assert_eq!(why(kind.clone(), server).await, "the file says 1, where 0 was expected");
    std::fs::write(&path, "0\n").unwrap();
    assert_eq!(ask(kind.clone(), server).await, Ok(Success::default()));
    std::fs::write(&path, "").unwrap();
    assert_eq!(ask(kind.clone(), server).await, Ok(Success::default()), "it is empty");
    std::fs::write(&path, "down\x1b[2J").unwrap();
    assert_eq!(why(kind, server).await, "`down\u{fffd}[2J` is no number");
}

#[tokio::test]
async fn what_is_no_file_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = nobody().await;
    let why = why(CheckKind::File(check(folder.path())), server).await;
    assert_eq!(why, format!("cannot read {}: is a directory", folder.path().display()));
    // A pipe that nobody writes to is as empty as it looks: it is not waited for.
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(ask(CheckKind::File(check(&pipe)), server).await, Ok(Success::default()));
    let endless = soon_why(CheckKind::File(check("/dev/zero")), server).await;
    assert!(endless.ends_with("is no number"), "{endless}");
}

#[test]
fn without_dynamic_a_number_is_0_or_it_is_not() {
    assert_eq!(judge(check("f"), "0"), Ok(None));
    assert_eq!(judge(check("f"), " \n"), Ok(None));
    assert_eq!(judge(check("f"), "-5"), Err("the file says -5, where 0 was expected".to_owned()));
    let reverse = FileCheck { reverse: true, ..check("f") };
    assert_eq!(judge(reverse.clone(), "7"), Ok(None));
    assert_eq!(judge(reverse, "0"), Err("the file says 0, where another number was expected".to_owned()));
}

#[test]
fn with_dynamic_the_product_is_added_to_the_weight() {
    let dynamic = |weight| FileCheck { weight, dynamic: true, ..check("f") };
    for (weight, reverse, said, added) in [
        (1, false, "5", 5),
        (1, false, "0", 0),
        (-2, false, "5", -10),
        (-2, true, "5", 10),
        (3, true, " -5 # by hand\n", 15),
        (1, false, "0x10", 16),
        (254, false, "2147483647", i32::MAX),
    ] {
        let check = FileCheck { reverse, ..dynamic(weight) };
        assert_eq!(judge(check, said), Ok(Some(Weighting::Add(added))), "{said}");
    }
    let worst = judge(dynamic(-254), "2147483647");
    assert_eq!(worst, Err("the file says 2147483647, which no weight outweighs".to_owned()));
    for said in ["five", "1.5", "0x", "2147483648", "0xffffffff", "\u{fffd}", "--1"] {
        assert_eq!(judge(dynamic(1), said), Err(format!("`{said}` is no number")));
    }
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    assert!(Ready::new(&check("")).is_err());
    assert!(Ready::new(&FileCheck { weight: 255, ..check("f") }).is_err());
    assert!(Ready::new(&FileCheck { weight: -254, ..check("f") }).is_ok());
}
