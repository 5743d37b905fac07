//! Includes, conditions, parameters, sequences.

use super::*;

/// The addresses of the services, which is what these tests are made of.
fn vips(foreign: &Foreign) -> Vec<String> {
    foreign.services.iter().map(|service| service.key.vip().unwrap().to_string()).collect()
}

const SERVICE: &str = "virtual_server ${VIP} 80 {\nprotocol TCP\nreal_server 10.1.0.1 80 { }\n}\n";

#[test]
fn included_files_are_read_where_they_stand() {
    let dir = Dir::new("include");
    dir.write("conf.d/b.conf", &SERVICE.replace("${VIP}", "10.0.0.2"));
    dir.write("conf.d/a.conf", &format!("$VIP=10.0.0.1\n{SERVICE}include ../more/c.conf\n"));
    dir.write("more/c.conf", &SERVICE.replace("${VIP}", "10.0.0.3"));
    dir.write("conf.d/.hidden.conf", "nonsense\n");
    let path = dir.write("keepalived.conf", "include conf.d/*.conf # all of them\nincludea nothing/*\n");
    let foreign = load(&path, "main").unwrap();
    assert_eq!(vips(&foreign), ["10.0.0.1", "10.0.0.3", "10.0.0.2"]);
    let notes = foreign.notes.to_string();
    assert!(notes.contains("keepalived.conf:2:10: not handled: no file is named like this"), "{notes}");
    assert_eq!(foreign.notes.iter().count(), 1, "{notes}");
}

#[test]
fn a_file_that_includes_itself_is_an_error_with_its_place() {
    let dir = Dir::new("cycle");
    dir.write("other.conf", "\ninclude keepalived.conf\n");
    let path = dir.write("keepalived.conf", "include other.conf\n");
    let foreign = load(&path, "main").unwrap();
    assert!(foreign.notes.has_errors());
    let notes = foreign.notes.to_string();
    assert!(notes.contains("other.conf:2:9: ") && notes.contains("includes itself"), "{notes}");
}

#[test]
fn conditional_lines_are_for_one_machine_or_for_all_but_one() {
    let text = "@main $VIP=10.0.0.1\n@other $VIP=10.0.0.2\n@^main $VIP=10.0.0.3\n$IF=@other\n";
    let text = format!("{text}{SERVICE}$IF nonsense\n");
    assert_eq!(services("conditions", &text)[0].key.vip(), Some("10.0.0.1".parse().unwrap()));
    let dir = Dir::new("other");
    let path = dir.write("keepalived.conf", &text);
    let other = load(&path, "other").unwrap();
    assert_eq!(vips(&other), ["10.0.0.3"]);
    assert_eq!(other.notes.counts(), "1 not understood");
}

#[test]
fn parameters_are_replaced_when_they_are_used() {
    let text = "
        $BASE=10.0.${SUB}
        $VS= \\
            virtual_server ${BASE}.1 80 { \\
                protocol TCP \\
                $RS_NUM=1 \\
                $RS \\
                $RS_NUM=2 \\
                $RS \\
            }
        $RS= \\
            real_server ${BASE}.10${RS_NUM} 80 { \\
                weight $RS_NUM \\
            }
        $SUB=5
        $VS
        $SUB=6
        $VS";
    let all = services("parameters", text);
    let shown: Vec<_> = all
        .iter()
        .flat_map(|service| service.dests.iter().map(|dest| format!("{} {}", dest.addr, dest.weight.0)))
        .collect();
    assert_eq!(shown, ["10.0.5.101:80 1", "10.0.5.102:80 2", "10.0.6.101:80 1", "10.0.6.102:80 2"]);
}

#[test]
fn an_unknown_parameter_stays_as_it_is() {
    let text = "$A=1\nvirtual_server 10.0.0.1 80 {\nprotocol TCP\nquorum_up \"/bin/x $B ${C} ${_HASH}${A}\"\n\
                real_server 10.1.0.1 80 { }\n}\n";
    let service = services("unknown", text).remove(0);
    let notify = service.health.unwrap().notify.clone();
    assert_eq!(notify.quorum_up, Some("/bin/x $B ${C} #1".into()));
}

#[test]
fn sequences_and_lists_repeat_their_line() {
    let text = format!(
        "$VIP=10.${{A}}.${{B}}.${{C}}\n$ALL= \\\n{}\n~SEQ(A, 2) ~LST({{B, C}}, {{7,1}}, {{8, 2}}) $ALL\n",
        SERVICE.trim().replace('\n', " \\\n")
    );
    let foreign = read_text("repeat", &text);
    assert_eq!(vips(&foreign), ["10.1.7.1", "10.1.8.2", "10.2.7.1", "10.2.8.2"]);
    let text = format!(
        "virtual_server_group G {{\n~SEQx(N, 0x90, -0x10, 0x70) fd00::${{N}} 80\n}}\n{}",
        "virtual_server group G {\nprotocol TCP\nreal_server fd00:1::1 80 { }\n}\n"
    );
    assert_eq!(vips(&read_text("hex", &text)), ["fd00::90", "fd00::80", "fd00::70"]);
}

#[test]
fn definitions_without_an_end_are_found() {
    for (name, text) in [
        ("endless", "$A=${B}\n$B=${A}x\nvirtual_server ${A} 80 { }\n"),
        ("doubled", "$A=${A}${A}\nx ${A}\n"),
        ("many", "$A= \\\n$A \\\n$A\n$A\n"),
        ("open", "$A= \\\nvirtual_server \\\n"),
        ("list", "~LST(A) x\n"),
        ("sequence", "~SEQ(A, 1, 0, 5) x\n"),
    ] {
        let foreign = read_text(name, text);
        assert!(foreign.notes.has_errors(), "{name}: {}", foreign.notes);
    }
}

#[test]
fn what_is_included_may_be_a_parameter_or_for_one_machine() {
    let dir = Dir::new("include-more");
    for (name, vip) in [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")] {
        dir.write(&format!("vs/{name}.conf"), &SERVICE.replace("${VIP}", vip));
    }
    let text = "$DIR=vs\ninclude ${DIR}/a.conf\n@main include vs/b.conf\n@other include vs/c.conf\n";
    let foreign = load(&dir.write("keepalived.conf", text), "main").unwrap();
    assert_eq!(vips(&foreign), ["10.0.0.1", "10.0.0.2"]);
    assert!(foreign.notes.is_empty(), "{}", foreign.notes);
}

#[test]
fn a_directory_or_a_fifo_that_is_included_is_left_alone() {
    let dir = Dir::new("include-odd");
    dir.write("conf.d/a.conf", &SERVICE.replace("${VIP}", "10.0.0.1"));
    dir.write("conf.d/below/b.conf", "nonsense\n");
    nix::unistd::mkfifo(&dir.0.join("conf.d/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let foreign = load(&dir.write("keepalived.conf", "include conf.d/*\n"), "main").unwrap();
    assert_eq!(vips(&foreign), ["10.0.0.1"]);
    assert_eq!(foreign.notes.counts(), "2 not handled", "{}", foreign.notes);
    assert!(foreign.notes.to_string().contains("below is no regular file"), "{}", foreign.notes);
}
