//! What is said otherwise here, or cannot be said at all, and what becomes of it.

use super::*;

#[test]
fn commands_run_as_the_users_that_are_written() {
    let text = "
        global_defs {
            script_user alice
        }
        virtual_server 10.0.0.1 80 {
            protocol TCP
            quorum_down /bin/down
            real_server 10.1.0.1 80 {
                notify_up /bin/up alice
                notify_up /bin/another alice
                notify_down /bin/down root
            }
            real_server 10.1.0.2 80 {
                notify_up /bin/up bob staff
            }
        }";
    let foreign = read_text("users", text);
    let by =
        |line: &str, user: &str| Some(NotifyCommand { line: line.to_owned(), user: Some(user.to_owned()) });
    let expected = Notify {
        own: [
            ("10.1.0.1:80".parse().unwrap(), [Some("/bin/up".into()), by("/bin/down", "root")]),
            ("10.1.0.2:80".parse().unwrap(), [by("/bin/up", "bob:staff"), None]),
        ]
        .into(),
        quorum_down: Some("/bin/down".into()),
        user: Some("alice".to_owned()),
        ..Notify::default()
    };
    assert_eq!(foreign.services[0].health.as_ref().unwrap().notify, expected);
    assert_eq!(foreign.notes.counts(), "1 changed", "{}", foreign.notes);
}

#[test]
fn retries_have_a_name_of_old() {
    let text = "virtual_server 10.0.0.1 80 {\nprotocol TCP\nreal_server 10.1.0.1 80 {\nHTTP_GET {\nnb_get_retry 4\n\
                url {\npath /\n}\n}\n}\n}\n";
    assert_eq!(services("retry", text)[0].health.as_ref().unwrap().checks[0].fall, 5);
}

#[test]
fn what_cannot_be_is_left_out_and_the_rest_stays() {
    let text = "
        virtual_server 10.0.0.1 80 {
            protocol TCP
            sorry_server 10.1.0.1 80
            sorry_server_inhibit
            real_server 10.1.0.1 80 {
                SSL_GET {
                    enable_sni
                    virtualhost www.example:8443
                    url {
                        path index.html
                    }
                }
            }
            real_server fd00::1 80 {
            }
        }";
    let service = read_text("left-out", text).services.remove(0);
    assert_eq!(service.dests, [DestSpec::new("10.1.0.1:80".parse().unwrap())]);
    let health = service.health.unwrap();
    assert_eq!((&health.sorry, health.sorry_inhibit), (&None, false));
    let CheckKind::Http(check) = &health.checks[0].kind else { panic!("{health:?}") };
    assert_eq!(check.tls.as_ref().unwrap().sni.as_deref(), Some("www.example"));
    assert_eq!(check.urls[0].path, "/index.html");
    assert_eq!(check.urls[0].host.as_deref(), Some("www.example:8443"));
}

#[test]
fn what_there_is_to_say_about_a_group_is_said_once() {
    let text = "
        virtual_server group WEB {
            protocol TCP
            quorum 9
            sorry_server 10.1.0.1 80
            real_server 10.1.0.1 80 {
                TCP_CHECK { }
            }
        }
        virtual_server_group WEB {
            10.0.0.1-9 80
            10.0.1.1 81
            fd00::1 80
        }";
    let foreign = read_text("group-once", text);
    assert_eq!(foreign.services.len(), 11);
    for service in foreign.services.iter().take(10) {
        assert_eq!(service.dests, [DestSpec::new("10.1.0.1:80".parse().unwrap())]);
        let health = service.health.as_ref().unwrap();
        assert_eq!((health.checks.len(), health.quorum, &health.sorry), (1, 1, &None));
    }
    // For the other family nothing is left.
    assert_eq!(foreign.services[10].dests, []);
    let sorry = foreign.notes.iter().find(|note| note.message.contains("is one of the servers")).unwrap();
    assert_eq!(sorry.times, 1, "{}", foreign.notes);
    let quorum: Vec<_> = foreign.notes.iter().filter(|note| note.message.contains("weigh 1")).collect();
    // One for each port.
    assert_eq!(quorum.iter().map(|note| note.times).collect::<Vec<_>>(), [2], "{}", foreign.notes);
}

#[test]
fn whoever_is_not_told_runs_commands_as_keepalived_script_if_there_is_such_a_user() {
    let text = "
        virtual_server 10.0.0.1 80 {
            protocol TCP
            quorum_down /bin/down
            real_server 10.1.0.1 80 {
                MISC_CHECK {
                    misc_path /bin/check
                }
            }
        }";
    let service = services("script-user", text).remove(0);
    let health = service.health.unwrap();
    let CheckKind::Exec(check) = &health.checks[0].kind else { panic!("{health:?}") };
    let known = User::from_name("keepalived_script").unwrap().map(|user| user.name);
    assert_eq!((&check.user, &health.notify.user), (&known, &known));
    let named = services("script-user", &format!("global_defs {{\nscript_user alice\n}}\n{text}")).remove(0);
    assert_eq!(named.health.unwrap().notify.user.as_deref(), Some("alice"));
}

#[test]
fn commands_keep_what_stands_in_quotes() {
    let text = "
        virtual_server 10.0.0.1 80 {
            protocol TCP
            quorum_down \"/bin/down 'a b' c\"
            real_server 10.1.0.1 80 { }
        }";
    let service = services("quoted", text).remove(0);
    let down = service.health.unwrap().notify.quorum_down.clone().unwrap();
    assert_eq!(crate::health::command::words(&down.line).unwrap(), ["/bin/down", "a b", "c"]);
}
