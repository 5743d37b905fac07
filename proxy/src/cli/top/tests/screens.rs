//! Screens, read line by line.

use control::api::{ConnPage, ConnView};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::model::{Picture, Subject};
use super::super::rows::Sort;
use super::super::screen;
use super::super::view::{Mode, View};
use super::{example, sample, service};

/// What is seen, without blanks at the ends of lines.
fn draw(picture: &Picture, view: &mut View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, picture, view)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn eighty_by_twenty_four_has_everything_that_matters() {
    let picture = Picture::new(example(), None);
    let seen = draw(&picture, &mut View::default(), 80, 24);
    let expected = "\
ulvs top (pid 4321), up 1 h 2 min, port tun, 2 workers, 31.0 MiB
services 2, servers 4; connections 30 of 1048576, new 0/s
in 0 packets/s 0 B/s, out 0 packets/s 0 B/s
dropped 42: no-route 40, fragment 2
SERVICE / SERVER          METHOD  WEIGHT STATE ACTIVE INACT NEW/s IN B/s OUT B/s
TCP 10.0.0.1:80           wrr                      35     0     0      0       0
  192.168.1.1:80          Masq         3 slow      10     0     5   2500    200K
  192.168.1.2:80          Masq         0 drain     20     0     0      0       0
  192.168.1.3:80          Masq         1 full       5     0     7   3500    280K
FWM 3                     wrr            DOWN       1     0     0      0       0
  192.168.1.1:80          Masq         0 quiet      1     0     0      0       0";
    assert_eq!(seen[..11].join("\n"), expected, "{seen:#?}");
    assert_eq!(seen[23], "?:help q:quit s:sort /:filter d:drain Enter:inspect  by SERVICE / SERVER");
}

#[test]
fn what_the_filter_is_has_room_before_the_keys() {
    let picture = Picture::new(example(), None);
    let mut view = View { filter: "192.168.1.1".into(), ..View::default() };
    let seen = draw(&picture, &mut view, 80, 24);
    let expected = "only \"192.168.1.1\"  ?:help q:quit d:drain Enter:inspect  by SERVICE / SERVER";
    assert_eq!(seen[23], expected);
    let narrow = draw(&picture, &mut view, 40, 24);
    assert!(narrow[23].starts_with("only \"192.168.1.1\"  ?:help q:quit"), "{narrow:#?}");
}

#[test]
fn every_size_shows_what_it_has_room_for() {
    let picture = Picture::new(example(), None);
    for (width, titles) in [
        (40, "SERVICE / SERVER        STATE ACTIVE NEW/s"),
        (
            100,
            "SERVICE / SERVER              METHOD  WEIGHT STATE ACTIVE INACT NEW/s INPKT/s OUTPKT/s IN B/s OUT B/s",
        ),
    ] {
        let seen = draw(&picture, &mut View::default(), width, 24);
        assert!(seen.iter().any(|line| line.split_whitespace().eq(titles.split_whitespace())), "{seen:#?}");
    }
    let small = draw(&picture, &mut View::default(), 40, 10);
    assert_eq!(small[1], "dropped 42: no-route 40, fragment 2");
    assert!(small[3].starts_with("TCP 10.0.0.1:80"), "{small:#?}");
    assert!(small[4].contains("slow") && small[4].ends_with('5'), "{small:#?}");
    assert!(small[9].contains("?:help q:quit"), "{small:#?}");
    // None is too small to be drawn, whatever is shown.
    let subject = Subject { service: picture.services[0].service, server: None };
    for mode in [Mode::Table, Mode::Inspect(subject), Mode::Help { back: Box::new(Mode::Table) }] {
        for (width, height) in [(1, 1), (2, 2), (10, 3), (21, 6), (300, 100), (80, 1), (1, 80)] {
            draw(&picture, &mut View { mode: mode.clone(), ..View::default() }, width, height);
        }
    }
}

#[test]
fn a_long_address_keeps_its_port_and_others_their_place() {
    let mut sample = sample(vec![service("tcp/[2001:db8:1111:2222:3333:4444:5555:6666]:8443", &[(1, 1, 1)])]);
    sample.services.services[0].dests[0].spec.addr = "[2001:db8::1:2:3:4:5]:65535".parse().unwrap();
    let picture = Picture::new(sample, None);
    let seen = draw(&picture, &mut View::default(), 80, 24);
    assert!(seen[5].starts_with("TCP [2001:db..66]:8443") || seen[5].contains(":8443 wrr"), "{seen:#?}");
    assert!(seen[6].contains("]:65535 Masq"), "{seen:#?}");
    assert!(seen[5..7].iter().all(|line| line.len() == 80), "{seen:#?}");
    let wide = screen::plain(&picture, "", Sort::default());
    assert!(wide.contains("TCP [2001:db8:1111:2222:3333:4444:5555:6666]:8443 wrr"), "{wide}");
}

#[test]
fn a_thousand_servers_scroll_and_cost_little() {
    let services = (0..10).map(|i| {
        let servers: Vec<_> = (0..100).map(|n| (1, n, n)).collect();
        service(&format!("tcp/10.0.0.1:{}", 80 + i), &servers)
    });
    let sample = sample(services.collect());
    let mut view = View::default();
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let picture = Picture::new(sample.clone(), None);
        let seen = draw(&picture, &mut view, 80, 24);
        assert!(seen[1].starts_with("services 10, servers 1000"), "{seen:#?}");
        view.offset += 1;
        view.chosen = None;
    }
    // A tenth of a second each, on a busy machine and without optimization; it takes some milliseconds.
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

#[test]
fn what_is_inspected_is_told_in_full() {
    let mut sample = example();
    let conn = |client: &str, dest: &str, state: &'static str, expires| ConnView {
        proto: Some(sched::Proto::Tcp),
        template: false,
        pe: None,
        expires,
        state: state.into(),
        client: client.parse().unwrap(),
        vip: "10.0.0.1:80".parse().unwrap(),
        dest: dest.parse().unwrap(),
    };
    let connections = vec![
        conn("10.9.0.1:40001", "192.168.1.1:80", "TIME_WAIT", 60),
        conn("10.9.0.1:40002", "192.168.1.1:80", "ESTABLISHED", 899),
        conn("10.9.0.1:40003", "192.168.1.2:80", "ESTABLISHED", 900),
    ];
    sample.connections = Some(ConnPage { connections, next: None });
    let picture = Picture::new(sample, None);
    let service = picture.services[0].service;
    let server = Subject { service, server: Some("192.168.1.1:80".parse().unwrap()) };
    let seen = draw(&picture, &mut View { mode: Mode::Inspect(server), ..View::default() }, 80, 24);
    let expected = "\
server 192.168.1.1:80 of TCP 10.0.0.1:80
method Masq, weight 3, state slow
0 clients come back to it (persistence)

10 active and 0 inactive connections
                        per second              in all
new connections                  5                   0
packets from clients            25                   0
packets from servers            20                   0
bytes from clients            2500                   0
bytes from servers          200000                   0

ESTABLISHED 1, TIME_WAIT 1
CLIENT                   SERVER                   STATE        EXPIRES
10.9.0.1:40002           192.168.1.1:80           ESTABLISHED    899 s
10.9.0.1:40001           192.168.1.1:80           TIME_WAIT       60 s";
    assert_eq!(seen[4..20].join("\n"), expected, "{seen:#?}");
    let whole = Subject { service, server: None };
    let seen = draw(&picture, &mut View { mode: Mode::Inspect(whole), ..View::default() }, 80, 24);
    assert!(seen.iter().any(|line| line == "scheduler wrr, 2 of 3 servers have a weight"), "{seen:#?}");
    assert!(seen.iter().any(|line| line == "ESTABLISHED 2, TIME_WAIT 1"), "{seen:#?}");
    let gone = Subject { service, server: Some("192.168.1.9:80".parse().unwrap()) };
    let seen = draw(&picture, &mut View { mode: Mode::Inspect(gone), ..View::default() }, 80, 24);
    assert_eq!(seen[4], "192.168.1.9:80 of TCP 10.0.0.1:80 is no more");
}

#[test]
fn a_lost_engine_and_a_question_are_seen() {
    let picture = Picture::new(example(), None);
    let mut view = View { lost: Some("the engine has gone; waiting for it".to_owned()), ..View::default() };
    let seen = draw(&picture, &mut view, 80, 24);
    assert!(seen[0].contains("NO NEWS: the engine has gone; waiting for it"), "{seen:#?}");
    let seen = draw(&Picture::default(), &mut view, 80, 24);
    assert_eq!(seen[0], "ulvs top, NO NEWS: the engine has gone; waiting for it");
    assert!(seen[1].starts_with("SERVICE / SERVER"), "nothing is said of what has not been seen: {seen:#?}");
    let drain = control::api::DrainOrder {
        service: picture.services[0].service,
        server: picture.services[0].servers[0].server,
        deadline: None,
        undo: false,
    };
    let mut view = View { mode: Mode::Ask { drain, back: Box::new(Mode::Table) }, ..View::default() };
    let seen = draw(&picture, &mut view, 80, 24);
    assert_eq!(seen[23], "Drain 192.168.1.1:80 of TCP 10.0.0.1:80: nobody new? y/n");
    assert!(seen[5].starts_with("TCP 10.0.0.1:80"), "the table stays");
    assert_eq!(draw(&picture, &mut view, 40, 10)[9], "Drain 192.168.1.1:80? y/n");
}

#[test]
fn the_help_fits_eighty_by_twenty_four() {
    let mut view = View { mode: Mode::Help { back: Box::new(Mode::Table) }, ..View::default() };
    let seen = draw(&Picture::new(example(), None), &mut view, 80, 24);
    assert!(seen.iter().any(|line| line.contains("q  quit")), "{seen:#?}");
    assert!(seen.iter().any(|line| line.contains("Dropped packets: by reason")), "{seen:#?}");
    assert_eq!(seen[23], "any key goes back");
}

#[test]
fn a_plain_screen_has_all_servers_and_all_columns() {
    let picture = Picture::new(example(), None);
    let text = screen::plain(&picture, "", Sort::default());
    assert_eq!(text.lines().count(), 12);
    assert!(
        text.starts_with("ulvs 0.1.0 (pid 4321), up 1 h 2 min, port tun, 2 workers, 31.0 MiB\n"),
        "{text}"
    );
    assert!(text.contains("INPKT/s OUTPKT/s IN B/s OUT B/s\n"), "{text}");
    assert!(screen::plain(&picture, "drain", Sort::default()).lines().count() == 8, "{text}");
}
