//! Every input of the corpus, with the stable toolchain and no fuzzer.

fn replay(target: &str, run: fn(&[u8])) {
    let inputs = fuzz::corpus(target);
    assert!(inputs.len() >= 20, "the corpus of {target} is there");
    for path in inputs {
        let data = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let result = std::panic::catch_unwind(|| run(&data));
        assert!(result.is_ok(), "{} is a finding", path.display());
    }
}

#[test]
fn packets() {
    replay("packet", fuzz::packet);
}

#[test]
fn engines() {
    replay("engine", fuzz::engine);
}
