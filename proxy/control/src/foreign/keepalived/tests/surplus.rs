//! Words behind those that a keyword takes.

use super::mistakes::file;
use super::*;

#[test]
fn words_too_many_are_noted_where_they_stand() {
    let url = |line: &str| format!("HTTP_GET {{\nurl {{\npath /\n{line}\n}}\n}}");
    let track = |line: &str| format!("track_file F {{\nfile /run/x\n{line}\n}}\n");
    for (text, place, message) in [
        (file("delay_loop 6 7", ""), "3:14", "`delay_loop` takes one value: `7` is passed over"),
        (file("", "weight 3 retry 2"), "5:10", "`weight` takes one value: `retry 2`"),
        (file("", "weight 3 reverse"), "5:10", "`weight` takes one value: `reverse`"),
        (file("omega off", ""), "3:7", "`omega` takes no value: `off`"),
        (file("lvs_sched mh\nmh-port 1", ""), "4:9", "`mh-port` takes no value: `1`"),
        (file("alpha on off", ""), "3:10", "`alpha` takes one value: `off`"),
        (file("lvs_method NAT type gre", ""), "3:16", "`lvs_method` takes one value: `type gre`"),
        (file("sorry_server 10.9.9.9 80 1", ""), "3:26", "`sorry_server` takes 2 values at most: `1`"),
        (file("quorum_up /bin/x a b c", ""), "3:22", "`quorum_up` takes 3 values at most: `c`"),
        (
            file("", "").replace("10.0.0.1 80", "10.0.0.1 80 9"),
            "1:28",
            "`virtual_server` takes 2 values at most: `9`",
        ),
        (
            file("", "").replace("10.1.0.1 80", "10.1.0.1 80 9"),
            "4:25",
            "`real_server` takes 2 values at most: `9`",
        ),
        (file("", "").replace("10.0.0.1 80", "fwmark 3 x"), "1:25", "takes 2 values at most: `x`"),
        (file("", "TCP_CHECK now {\n}"), "5:11", "`TCP_CHECK` takes no value: `now`"),
        (file("", "TCP_CHECK {\nfwmark 3 inet\n}"), "6:10", "`fwmark` takes one value: `inet`"),
        (file("", "MISC_CHECK {\nmisc_path /bin/x -v\n}"), "6:18", "`misc_path` takes one value: `-v`"),
        (file("", &url("regex welcome home")), "8:15", "`regex` takes one value: `home`"),
        (file("", &url("regex a\nregex_no_match x")), "9:16", "`regex_no_match` takes no value: `x`"),
        (track("weight 3 revers"), "3:10", "`weight` takes one value: `revers`"),
        (track("weight 3 reverse x"), "3:18", "`weight` takes 2 values at most: `x`"),
        ("global_defs x {\nscript_user a\n}\n".to_owned(), "1:13", "`global_defs` takes no value: `x`"),
        ("script_user a b c\n".to_owned(), "1:17", "`script_user` takes 2 values at most: `c`"),
        ("virtual_server_group G H {\n}\n".to_owned(), "1:24", "takes one value: `H`"),
        ("virtual_server_group G {\n10.0.0.1 80 81\n}\n".to_owned(), "2:13", "takes one value: `81`"),
        ("virtual_server_group G {\nfwmark 3 inet 4\n}\n".to_owned(), "2:15", "`fwmark` takes 2 values"),
    ] {
        let foreign = read_text("surplus", &text);
        assert!(!foreign.notes.has_errors(), "{text}{}", foreign.notes);
        let mut all = foreign.notes.iter().filter(|n| n.severity == Severity::NotUnderstood);
        let (Some(note), None) = (all.next(), all.next()) else { panic!("{text}{}", foreign.notes) };
        assert!(note.to_string().contains(&format!("keepalived.conf:{place}: not understood: ")), "{note}");
        assert!(note.message.contains(message), "{message}: {note}");
        assert!(note.help.contains("begin a line"), "{note}");
    }
}
