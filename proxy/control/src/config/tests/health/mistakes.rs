//! What is wrong with checks, where, and the way out.

use super::*;

fn assert_problem(text: &str, case: &str, [underlined, message, help]: [&str; 3]) {
    let error = Config::parse("ulvs.toml", text).expect_err(case);
    let problems = error.problems();
    assert_eq!(problems.len(), 1, "{case}\n{error}");
    assert_eq!(&text[problems[0].span.clone()], underlined, "{case}\n{error}");
    assert!(problems[0].message.contains(message), "{case}\n{error}");
    assert!(problems[0].help.contains(help), "{case}\n{error}");
    // What is missing is missing in the table as a whole.
    if let Some(within) = case.rfind(underlined) {
        assert_eq!(problems[0].span.start, text.rfind(case).unwrap() + within, "{case}\n{error}");
    }
}

/// The lines of a check, what is underlined, what the message and the help have to say.
#[test]
fn every_mistake_in_a_check_is_shown_at_its_place_with_a_way_out() {
    let cases: &[(&str, [&str; 3])] = &[
        ("kind = \"htp\"", ["\"htp\"", "there is no check `htp`", "did you mean \"http\"?"]),
        (
            "kind = \"ping\"",
            ["\"ping\"", "there is no check `ping`", "did you mean \"icmp\"? known: icmp, tcp,"],
        ),
        (
            "kind = \"gopher\"",
            ["\"gopher\"", "there is no check `gopher`", "known: icmp, tcp, udp, http, https,"],
        ),
        ("kind = 3", ["3", "`kind` has to be a string, not integer", "known: icmp"]),
        ("port = 80", ["[[service.check]]", "this check has no `kind`", "kind = \"http\" (icmp, tcp,"]),
        (
            "kind = \"tcp\"\npath = \"/\"",
            [
                "path",
                "a tcp check has no `path`",
                "kind = \"http\", \"https\", \"file\": change the kind, or delete it",
            ],
        ),
        (
            "kind = \"http\"\nverify = true",
            ["verify", "an http check has no `verify`", "\"https\", \"tls\", \"grpc\""],
        ),
        ("kind = \"icmp\"\nport = 80", ["port", "an icmp check has no `port`", "delete it"]),
        ("kind = \"tcp\"\nintervall = 3", ["intervall", "a tcp check has no key `intervall`", "`interval`?"]),
        (
            "kind = \"tcp\"\ncolour = 3",
            ["colour", "no key `colour`", "known here: kind, window, via, interval"],
        ),
        (
            "kind = \"tcp\"\ninterval = \"9ms\"",
            ["\"9ms\"", "`interval` is not a time in range", "\"500ms\", \"2s\""],
        ),
        ("kind = \"tcp\"\ninterval = 0", ["0", "`interval` is not a time in range", "10 milliseconds"]),
        ("kind = \"tcp\"\ninterval = 0.5", ["0.5", "`interval` is not a time in range", "\"500ms\""]),
        (
            "kind = \"tcp\"\ntimeout = \"0ms\"",
            ["\"0ms\"", "`timeout` is not a time in range", "1 milliseconds"],
        ),
        ("kind = \"tcp\"\nfall = 0", ["0", "`fall` is not a whole number in range", "from 1 to"]),
        ("kind = \"tcp\"\nrise = 0", ["0", "`rise` is not a whole number in range", "from 1 to"]),
        (
            "kind = \"tcp\"\nwindow = \"11/10\"",
            ["\"11/10\"", "11 of 10 answers cannot fail", "first the failures"],
        ),
        ("kind = \"tcp\"\nwindow = \"0/10\"", ["\"0/10\"", "no failure at all", "window = \"1/10\""]),
        (
            "kind = \"tcp\"\nwindow = \"3/65\"",
            ["\"3/65\"", "65 answers are more than are remembered", "64 at most"],
        ),
        ("kind = \"tcp\"\nwindow = \"3 of 9\"", ["\"3 of 9\"", "`3 of 9` is no window", "window = \"3/10\""]),
        ("kind = \"tcp\"\nwindow = 3", ["3", "`window` has to be a string", "window = \"3/10\""]),
        ("kind = \"HTTP\"", ["\"HTTP\"", "there is no check `HTTP`", "did you mean \"http\"?"]),
        ("kind = \"SSL_GET\"", ["\"SSL_GET\"", "no check `SSL_GET`", "did you mean \"https\"?"]),
        ("kind = \"MISC_CHECK\"", ["\"MISC_CHECK\"", "no check `MISC_CHECK`", "did you mean \"exec\"?"]),
        ("kind = \"tcp\"\nretry = 3", ["retry", "no key `retry`", "did you mean `fall`?"]),
        ("kind = \"http\"\nstatus_code = 200", ["status_code", "no key", "did you mean `status`?"]),
        ("kind = \"http\"\nexpected = \"OK\"", ["expected", "no key", "did you mean `keyword`?"]),
        ("kind = \"udp\"\nexpected = \"OK\"", ["expected", "no key", "did you mean `reply`?"]),
        ("kind = \"tcp\"\nquorum = 3", ["quorum", "no key `quorum`", "it belongs to [service.health]"]),
        (
            "kind = \"exec\"\ncommand = \"/x 'a b\"",
            ["\"/x 'a b\"", "a quote begins in this command that does not end", "close it"],
        ),
        ("kind = \"tcp\"\naddress = \"one\"", ["\"one\"", "`one` is not an IP address", "192.168.1.9"]),
        (
            "kind = \"tcp\"\naddress = \"10.1.0.7:81\"",
            ["\"10.1.0.7:81\"", "not an IP address", "address = \"10.1.0.7\", port = 81"],
        ),
        ("kind = \"tcp\"\naddress = \"224.0.0.1\"", ["\"224.0.0.1\"", "cannot be asked", "one host"]),
        ("kind = \"tcp\"\nport = 0", ["0", "`port` is not a whole number in range", "from 1 to 65535"]),
        ("kind = \"tcp\"\nvia = \"vpi\"", ["\"vpi\"", "`via` cannot be `vpi`", "via = \"direct\", \"vip\""]),
        (
            "kind = \"icmp\"\nvia = \"vip\"",
            ["\"vip\"", "an icmp check cannot go by way of the VIP", "kind = \"tcp\""],
        ),
        (
            "kind = \"exec\"\ncommand = \"/x\"\nvia = \"vip\"",
            ["\"vip\"", "an exec check cannot go by way of the VIP", "delete the line"],
        ),
        (
            "kind = \"file\"\npath = \"/x\"\nvia = \"vip\"",
            ["\"vip\"", "a file check cannot go by", "delete the line"],
        ),
        (
            "kind = \"tcp\"\nvia = \"vip\"\naddress = \"10.1.0.7\"",
            ["\"10.1.0.7\"", "the VIP is asked already", "one of the two"],
        ),
        (
            "kind = \"tcp\"\nvia = \"vip\"\ndevice = \"eth0\"",
            ["\"eth0\"", "by no device of its own", "one of the two"],
        ),
        ("kind = \"tcp\"\nvia = \"vip\"\nport = 81", ["81", "nothing at tcp/81 of 10.0.0.1", "`ports`"]),
        ("kind = \"dns\"\nvia = \"vip\"", ["\"vip\"", "nothing at udp/80 of 10.0.0.1", "in its protocol"]),
        (
            "kind = \"tcp\"\nbind = \"eth0\"",
            ["\"eth0\"", "`eth0` is not an address to ask from", "[fd00::1]:4000"],
        ),
        (
            "kind = \"tcp\"\nbind = \"fd00::1\"",
            ["\"fd00::1\"", "10.1.0.1 cannot be asked from fd00::1", "same family"],
        ),
        (
            "kind = \"tcp\"\nbind = \"fd00::1\"\naddress = \"10.1.0.7\"",
            ["\"fd00::1\"", "10.1.0.7 cannot be asked from fd00::1", "same family"],
        ),
        (
            "kind = \"tcp\"\nvia = \"vip\"\nbind = \"fd00::1\"",
            ["\"fd00::1\"", "10.0.0.1 cannot be asked from an address of another family", "delete `bind`"],
        ),
        ("kind = \"tcp\"\ndevice = \"a b\"", ["\"a b\"", "cannot be the name of a device", "ip link"]),
        ("kind = \"tcp\"\nmark = 0", ["0", "`mark` is not a whole number in range", "from 1"]),
        (
            "kind = \"http\"\npath = \"index.html\"",
            ["\"index.html\"", "`index.html` is no path", "begins with /"],
        ),
        ("kind = \"http\"\npath = \"/a b\"", ["\"/a b\"", "`/a b` is no path of a page", "percent-encoded"]),
        ("kind = \"http\"\nmethod = \"get\"", ["\"get\"", "`get` is no method of HTTP", "in capitals"]),
        ("kind = \"http\"\nhost = \"http://a\"", ["\"http://a\"", "cannot be the Host", "www.example:8080"]),
        ("kind = \"http\"\nstatus = [700]", ["700", "no status of HTTP", "from 100 to 599"]),
        (
            "kind = \"http\"\nstatus = [\"299-200\"]",
            ["\"299-200\"", "nor a range of them", "[200, \"300-399\"]"],
        ),
        (
            "kind = \"http\"\nstatus = 200",
            ["200", "`status` has to be a list", "status = [200, \"300-399\"]"],
        ),
        (
            "kind = \"http\"\nkeyword = \"\"",
            ["\"\"", "no page could be without this", "what has to be there"],
        ),
        ("kind = \"http\"\nkeyword = [3]", ["3", "no page could be without this", "keyword = "]),
        (
            "kind = \"http\"\nregex = \"(a\"",
            ["\"(a\"", "`(a` is no pattern that can be used", "write it without"],
        ),
        (
            "kind = \"http\"\nregex = [\"a\", \"(?!b)\"]",
            ["\"(?!b)\"", "`(?!b)` is no pattern that can be used: look-around", "`regex_no_match`"],
        ),
        ("kind = \"http\"\nregex = 3", ["3", "`regex` has to be a string", "regex = "]),
        (
            "kind = \"http\"\nregex = { max_offset = 3 }",
            ["{ max_offset = 3 }", "has no `pattern`", "pattern = "],
        ),
        (
            "kind = \"http\"\nregex = { pattern = \"x\", min_offset = 9, max_offset = 3 }",
            ["3", "no match begins before 3 and after 9 bytes", "0 is no limit"],
        ),
        ("kind = \"http\"\ndigest = \"9b3a\"", ["\"9b3a\"", "`9b3a` is no digest", "md5sum"]),
        (
            "kind = \"http\"\nmethod = \"HEAD\"\nkeyword = \"OK\"",
            ["\"OK\"", "answer to HEAD has no body", "\"GET\""],
        ),
        (
            "kind = \"http\"\nversion = \"2\"",
            ["\"2\"", "`version` cannot be `2`", "\"1.1\", \"1.0\", \"1.0C\""],
        ),
        ("kind = \"http\"\nurls = [{ pth = \"/\" }]", ["pth", "this page has no key `pth`", "`path`?"]),
        (
            "kind = \"http\"\nurls = \"/\"",
            ["\"/\"", "`urls` has to be a list of tables", "[[service.check.urls]]"],
        ),
        (
            "kind = \"http\"\nurls = [{ path = \"/a\" }]\npath = \"/b\"",
            ["\"/b\"", "`path` says nothing beside `urls`", "urls = [{"],
        ),
        (
            "kind = \"https\"\nca = \"ca.crt\"",
            ["\"ca.crt\"", "nobody looks at these authorities", "verify = true"],
        ),
        (
            "kind = \"https\"\nverify = false\nca = \"ca.crt\"",
            ["\"ca.crt\"", "nobody looks at these authorities", "verify = true"],
        ),
        ("kind = \"tls\"\nca = \"\"\nverify = true", ["\"\"", "`ca` names no file", "ca = \"ca.crt\""]),
        (
            "kind = \"tls\"\nsni = \"10.1.0.1\"",
            ["\"10.1.0.1\"", "no name that can be asked for", "delete it"],
        ),
        ("kind = \"tls\"\nsni = \"a b\"", ["\"a b\"", "no name that can be asked for", "DNS name"]),
        ("kind = \"tls\"\nmin_days = 9999", ["9999", "`min_days` is not a whole number", "0 to 3650"]),
        ("kind = \"grpc\"\nverify = true", ["true", "`verify` says nothing without TLS", "tls = true"]),
        ("kind = \"dns\"\nrecord = \"a\"", ["\"a\"", "`record` cannot be `a`", "\"AAAA\""]),
        ("kind = \"dns\"\nname = \"a..b\"", ["\"a..b\"", "`a..b` is no name", "\".\" for the root"]),
        ("kind = \"smtp\"\nhelo = \"\"", ["\"\"", "no name to introduce oneself by", "lb.example"]),
        ("kind = \"udp\"\npayload_hex = \"0g\"", ["\"0g\"", "`0g` are no bytes", "two hexadecimal digits"]),
        ("kind = \"udp\"\npayload_hex = \"012\"", ["\"012\"", "`012` are no bytes", "for each byte"]),
        ("kind = \"udp\"\npayload_hex = \"XX\"", ["\"XX\"", "a byte that is sent has to be said", "digits"]),
        (
            "kind = \"udp\"\npayload = \"a\"\npayload_hex = \"61\"",
            ["\"61\"", "`payload` says already what is sent", "delete the other"],
        ),
        (
            "kind = \"udp\"\nreply_hex = \"0a\"",
            ["\"0a\"", "says nothing at all would be alive", "require_reply = true"],
        ),
        (
            "kind = \"udp\"\nreply = \"PONG\"",
            ["\"PONG\"", "says nothing at all would be alive", "require_reply = true"],
        ),
        (
            "kind = \"udp\"\nrequire_reply = true\nreply = \"a\"\nreply_hex = \"61\"",
            ["\"61\"", "`reply` says already what is expected", "delete the other"],
        ),
        (
            "kind = \"udp\"\nmin_reply = 9\nmax_reply = 8",
            ["9", "above `max_reply`, which is 8", "no reply is right"],
        ),
        (
            "kind = \"udp\"\nrequire_reply = true\nmax_reply = 1\nreply_hex = \"0a0b\"",
            ["\"0a0b\"", "has 2 bytes at least", "raise `max_reply`"],
        ),
        ("kind = \"exec\"", ["[[service.check]]", "an exec check has no `command`", "command = ["]),
        ("kind = \"exec\"\ncommand = []", ["[]", "`command` names no program", "/usr/local/bin/check"]),
        ("kind = \"exec\"\ncommand = \" \"", ["\" \"", "`command` names no program", "/usr/local/bin/check"]),
        (
            "kind = \"exec\"\ncommand = \"bin/x\"",
            ["\"bin/x\"", "somewhere else wherever ulvs", "the whole path"],
        ),
        ("kind = \"exec\"\ncommand = [\"/x\", 3]", ["3", "`command` is a list of strings", "command = ["]),
        ("kind = \"exec\"\ncommand = \"/x\"\nuser = \":a\"", ["\":a\"", "`:a` is no user", "nobody:nogroup"]),
        ("kind = \"exec\"\ncommand = \"/x\"\naddress = \"::1\"", ["address", "no `address`", "asked there"]),
        ("kind = \"file\"", ["[[service.check]]", "a file check has no `path`", "path = \"/run/weight\""]),
        (
            "kind = \"file\"\npath = \"/x\"\nweight = 255",
            ["255", "`weight` is not a whole number", "-254 to 254"],
        ),
    ];
    for (lines, problem) in cases {
        assert_problem(&service(&format!("[[service.check]]\n{lines}")), lines, *problem);
    }
}

#[test]
fn every_mistake_in_what_follows_is_shown_at_its_place_with_a_way_out() {
    let cases: &[(&str, [&str; 3])] = &[
        ("qorum = 1", ["qorum", "[service.health] has no key `qorum`", "did you mean `quorum`?"]),
        ("sorry_server = \"10.1.0.9\"", ["sorry_server", "no key `sorry_server`", "did you mean `sorry`?"]),
        ("fall = 3", ["fall", "no key `fall`", "it belongs to [[service.check]]; known here: need"]),
        ("notify = \"/x 'a\"", ["\"/x 'a\"", "a quote begins in this command", "close it"]),
        ("need = \"some\"", ["\"some\"", "`need` cannot be `some`", "need = \"all\", \"any\""]),
        ("initially = \"alive\"", ["\"alive\"", "`initially` cannot be", "\"up\", \"down\""]),
        ("on_down = \"drop\"", ["\"drop\"", "`on_down` cannot be", "\"reset\", \"move\", \"keep\""]),
        ("inhibit = 1", ["1", "`inhibit` has to be true or false", "inhibit = true"]),
        ("panic = 101", ["101", "`panic` is not a whole number in range", "from 0 to 100"]),
        ("quorum = 0", ["0", "`quorum` is not a whole number in range", "from 1"]),
        ("quorum = 4", ["4", "weights add up to 3, never to a quorum of 4", "raise the weights"]),
        ("quorum = 3\nhysteresis = 1", ["3", "never to quorum + hysteresis, which is 4", "make it smaller"]),
        ("quorum = 2\nhysteresis = 2", ["2", "no service has less than 2 - 2", "smaller than `quorum`"]),
        ("hysteresis = 1", ["1", "no service has less than 1 - 1", "smaller than `quorum`"]),
        ("sorry = \"10.1.0.9\"", ["\"10.1.0.9\"", "`sorry` has to be a table", "[service.health.sorry]"]),
        ("sorry = { }", ["{ }", "`sorry` has no `address`", "address = "]),
        ("sorry = { address = \"fd00::9\" }", ["\"fd00::9\"", "different address families", "own family"]),
        (
            "sorry = { address = \"10.1.0.1\" }",
            ["\"10.1.0.1\"", "is one of the servers", "go down with the others"],
        ),
        (
            "sorry = { address = \"10.1.0.9\", weight = 0 }",
            ["0", "of weight 0 serves nobody", "delete `weight`"],
        ),
        (
            "sorry = { address = \"10.1.0.9\", slow_start = 3 }",
            ["slow_start", "no key `slow_start`", "known here"],
        ),
        (
            "damping = { flaps = 3, within = 60 }",
            ["{ flaps = 3, within = 60 }", "no `hold`", "hold = \"5m\""],
        ),
        ("damping = { flaps = 0, within = 9, hold = 9 }", ["0", "`flaps` is not a whole number", "from 1"]),
        ("passive = { fall = 0 }", ["0", "`fall` is not a whole number in range", "from 1"]),
        ("passive = 3", ["3", "`passive` has to be a table", "[service.health.passive]"]),
        ("passive = { hold = 9, max_hold = 8 }", ["8", "`max_hold` is shorter than `hold`", "exchange them"]),
        ("notify = \"\"", ["\"\"", "`notify` names no program", "/usr/local/bin/notify"]),
        (
            "notify = \"./notify\"",
            ["\"./notify\"", "somewhere else wherever ulvs is started", "the whole path"],
        ),
        ("notify = { donw = \"/x\" }", ["donw", "`notify` has no key `donw`", "`down`?"]),
        ("notify = 3", ["3", "`notify` has to be a string", "/usr/local/bin/notify"]),
        ("notify = { up = 3 }", ["3", "`up` has to be a string", "/usr/local/bin/notify"]),
        (
            "notify = { up = { user = \"alice\" } }",
            ["{ user = \"alice\" }", "`up` has no `command`", "up = { command = "],
        ),
        (
            "notify = { up = { command = \"/x\", users = \"a\" } }",
            ["users", "a command of `notify` has no key `users`", "`user`?"],
        ),
        (
            "notify = { down = { command = \"/x\", user = \":\" } }",
            ["\":\"", "`:` is no user", "nobody:nogroup"],
        ),
    ];
    for (lines, problem) in cases {
        assert_problem(&service(&format!("[service.health]\n{lines}")), lines, *problem);
    }
}

#[test]
fn the_weights_may_be_anything_where_checks_say_them() {
    let quorum = "[service.health]\nquorum = 4\n";
    for check in [
        "kind = \"exec\"\ncommand = \"/x\"\ndynamic = true",
        "kind = \"file\"\npath = \"/x\"\ndynamic = true",
    ] {
        assert_eq!(health_of(&service(&format!("{quorum}[[service.check]]\n{check}"))).quorum, 4);
    }
    // Nor is anything known of servers that will be added by hand.
    let alone = format!("[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n{quorum}");
    assert_eq!(health_of(&alone).quorum, 4);
}

#[test]
fn mistakes_about_single_servers_are_shown_at_theirs() {
    let with = |lines: &str| {
        format!(
            "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n[[service.server]]\naddress = \"10.1.0.1\"\n{lines}\n"
        )
    };
    let cases: &[(&str, [&str; 3])] = &[
        (
            "notify = \"/x\"",
            ["\"/x\"", "`notify` of a server says who is told of what", "notify = { down = "],
        ),
        ("notify = { change = \"/x\" }", ["change", "`notify` of a server has no key `change`", "up, down"]),
        ("check = 3", ["3", "`check` has to be a list of tables", "[[service.server.check]]"]),
        (
            "[service.server.check]\nkind = \"tcp\"",
            ["[service.server.check]", "a list of tables", "[[service.server.check]]"],
        ),
        ("[[service.server.check]]\nkind = \"tpc\"", ["\"tpc\"", "no check `tpc`", "did you mean \"tcp\"?"]),
    ];
    for (lines, problem) in cases {
        assert_problem(&with(lines), lines, *problem);
    }
    // The check of nobody: a server has to come before what it is asked.
    let early =
        "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n[[service.server.check]]\nkind = \"tcp\"\n";
    let error = Config::parse("x", early).unwrap_err().to_string();
    assert!(error.contains("`server` has to be a list of tables"), "{error}");
    assert!(error.contains("[[service.server]]"), "{error}");
}

#[test]
fn a_server_without_a_port_is_asked_at_one_that_is_said() {
    let with = |lines: &str| {
        format!(
            "[[service]]\nmark = 3\nserver = [{{ address = \"10.1.0.1\" }}]\n[[service.check]]\n{lines}\n"
        )
    };
    for lines in ["kind = \"tcp\"\nport = 80", "kind = \"icmp\"", "kind = \"exec\"\ncommand = \"/x\""] {
        assert_eq!(health_of(&with(lines)).checks.len(), 1, "{lines}");
    }
    let lines = "kind = \"http\"";
    let problem =
        ["[[service.check]]", "the server 10.1.0.1 has no port of its own to be asked at", "port = 80"];
    assert_problem(&with(lines), lines, problem);
    let lines = "kind = \"tcp\"\nvia = \"vip\"";
    assert_problem(&with(lines), lines, ["\"vip\"", "there is no VIP to ask at", "`vip` and `ports`"]);
}

#[test]
fn times_of_all_checks_are_looked_at_once() {
    let cases: &[(&str, [&str; 3])] = &[
        ("fal = 3", ["fal", "[health] has no key `fal`", "did you mean `fall`?"]),
        ("fall = 0", ["0", "`fall` is not a whole number in range", "from 1"]),
        ("kind = \"tcp\"", ["kind", "[health] has no key `kind`", "known here: interval, fast_interval"]),
    ];
    for (lines, problem) in cases {
        assert_problem(&format!("[health]\n{lines}\n"), lines, *problem);
    }
}
