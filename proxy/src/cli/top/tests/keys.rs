//! What keys do.

use control::api::DrainOrder;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::model::Picture;
use super::super::rows::{Column, Sort, rows};
use super::super::view::{Mode, View, Wish};
use super::{example, names, sample, service};

/// A view that has been drawn once, with room for `height` lines.
fn view(picture: &Picture, height: usize) -> View {
    let mut view = View::default();
    settle(&mut view, picture, height);
    view
}

fn settle(view: &mut View, picture: &Picture, height: usize) -> usize {
    let rows = rows(picture, &view.filter, view.sort);
    view.settle(&rows, height)
}

fn press(view: &mut View, picture: &Picture, key: KeyCode) -> Option<Wish> {
    let wish = view.press(KeyEvent::new(key, KeyModifiers::NONE), picture);
    settle(view, picture, view.height);
    wish
}

fn chosen(view: &View) -> String {
    let subject = view.chosen.unwrap();
    subject.server.map_or_else(|| subject.service.to_string(), |server| server.to_string())
}

#[test]
fn q_and_control_c_end_it_from_anywhere_they_should() {
    let picture = Picture::new(example(), None);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for before in [vec![], vec![KeyCode::Char('?')], vec![KeyCode::Char('/')], vec![KeyCode::Enter]] {
        let mut view = view(&picture, 10);
        for key in before {
            press(&mut view, &picture, key);
        }
        assert_eq!(view.press(control_c, &picture), Some(Wish::Quit));
    }
    assert_eq!(press(&mut view(&picture, 10), &picture, KeyCode::Char('q')), Some(Wish::Quit));
    let mut typing = view(&picture, 10);
    press(&mut typing, &picture, KeyCode::Char('/'));
    assert_eq!(press(&mut typing, &picture, KeyCode::Char('q')), None, "it is a letter of the filter");
    assert_eq!(typing.filter, "q");
}

#[test]
fn the_chosen_line_stays_chosen_when_the_order_changes() {
    let picture =
        Picture::new(sample(vec![service("tcp/10.0.0.1:80", &[(1, 1, 0), (1, 9, 0), (1, 5, 0)])]), None);
    let mut view = view(&picture, 10);
    press(&mut view, &picture, KeyCode::Down);
    assert_eq!(chosen(&view), "192.168.1.1:80");
    view.sort = Sort { by: Column::Active, reversed: false };
    assert_eq!(settle(&mut view, &picture, 10), 3, "now the last line");
    assert_eq!(chosen(&view), "192.168.1.1:80");
}

#[test]
fn when_the_chosen_server_goes_its_neighbour_is_chosen() {
    let key = "tcp/10.0.0.1:80";
    let three = Picture::new(sample(vec![service(key, &[(1, 0, 0), (1, 0, 0), (1, 0, 0)])]), None);
    let mut view = view(&three, 10);
    press(&mut view, &three, KeyCode::End);
    assert_eq!(chosen(&view), "192.168.1.3:80");
    let two = Picture::new(sample(vec![service(key, &[(1, 0, 0), (1, 0, 0)])]), None);
    settle(&mut view, &two, 10);
    assert_eq!(chosen(&view), "192.168.1.2:80");
    settle(&mut view, &Picture::default(), 10);
    assert_eq!(view.chosen, None);
}

#[test]
fn the_chosen_line_is_always_seen() {
    let servers = vec![(1, 0, 0); 200];
    let picture = Picture::new(sample(vec![service("tcp/10.0.0.1:80", &servers)]), None);
    let mut view = view(&picture, 10);
    for (key, at, offset) in [
        (KeyCode::PageDown, 10, 1),
        (KeyCode::End, 200, 191),
        (KeyCode::PageUp, 190, 190),
        (KeyCode::Up, 189, 189),
        (KeyCode::Down, 190, 189),
        (KeyCode::Home, 0, 0),
        (KeyCode::Up, 0, 0),
    ] {
        press(&mut view, &picture, key);
        assert_eq!((settle(&mut view, &picture, 10), view.offset), (at, offset), "{key:?}");
    }
    press(&mut view, &picture, KeyCode::End);
    settle(&mut view, &picture, 150);
    assert_eq!(view.offset, 51, "a larger screen is filled");
}

#[test]
fn a_drain_asks_first_and_only_y_does_it() {
    let picture = Picture::new(example(), None);
    let mut view = view(&picture, 10);
    press(&mut view, &picture, KeyCode::Char('d'));
    assert!(view.message.as_ref().unwrap().contains("choose a server"), "a service is chosen");
    let order = |server: &str, undo| DrainOrder {
        service: "tcp/10.0.0.1:80".parse().unwrap(),
        server: server.parse().unwrap(),
        deadline: None,
        undo,
    };
    press(&mut view, &picture, KeyCode::Down);
    press(&mut view, &picture, KeyCode::Char('d'));
    for no in [KeyCode::Char('n'), KeyCode::Enter, KeyCode::Esc, KeyCode::Char('q')] {
        assert_eq!(press(&mut view, &picture, no), None, "{no:?}");
        assert_eq!((&view.mode, view.message.as_deref()), (&Mode::Table, Some("nothing was changed")));
        press(&mut view, &picture, KeyCode::Char('d'));
    }
    let wish = press(&mut view, &picture, KeyCode::Char('y'));
    assert_eq!(wish, Some(Wish::Drain(order("192.168.1.1:80", false))));
    // One that is being drained gets its weight back.
    press(&mut view, &picture, KeyCode::Down);
    press(&mut view, &picture, KeyCode::Char('d'));
    let wish = press(&mut view, &picture, KeyCode::Char('y'));
    assert_eq!(wish, Some(Wish::Drain(order("192.168.1.2:80", true))));
}

#[test]
fn a_filter_is_typed_kept_and_taken_back() {
    let picture = Picture::new(example(), None);
    let mut view = view(&picture, 10);
    let mut keys = |keys: &[KeyCode]| {
        for key in keys {
            press(&mut view, &picture, *key);
        }
        names(&picture, &view.filter, view.sort).len()
    };
    assert_eq!(keys(&[KeyCode::Char('/'), KeyCode::Char('f'), KeyCode::Char('w'), KeyCode::Enter]), 2);
    assert_eq!(keys(&[KeyCode::Char('/'), KeyCode::Char('x'), KeyCode::Esc]), 2, "what was before");
    assert_eq!(keys(&[KeyCode::Char('/'), KeyCode::Backspace, KeyCode::Backspace, KeyCode::Enter]), 6);
    assert_eq!(keys(&[KeyCode::Char('/'), KeyCode::Char('f'), KeyCode::Enter, KeyCode::Esc]), 6);
}

#[test]
fn inspecting_asks_for_the_connections_of_that_server() {
    let picture = Picture::new(example(), None);
    let mut view = view(&picture, 10);
    press(&mut view, &picture, KeyCode::Down);
    assert_eq!(view.wanted(), None);
    assert_eq!(press(&mut view, &picture, KeyCode::Enter), Some(Wish::Refresh));
    let query = view.wanted().unwrap();
    assert_eq!(query.vip, Some("10.0.0.1:80".parse().unwrap()));
    assert_eq!(query.dest, Some("192.168.1.1:80".parse().unwrap()));
    press(&mut view, &picture, KeyCode::Char('?'));
    assert!(view.wanted().is_some(), "it is still there under the help");
    press(&mut view, &picture, KeyCode::Char('x'));
    press(&mut view, &picture, KeyCode::Esc);
    assert_eq!(view.wanted(), None);
}

#[test]
fn a_pause_ends_with_a_fresh_look() {
    let picture = Picture::new(example(), None);
    let mut view = view(&picture, 10);
    assert_eq!((press(&mut view, &picture, KeyCode::Char('p')), view.paused), (None, true));
    assert_eq!((press(&mut view, &picture, KeyCode::Char('p')), view.paused), (Some(Wish::Refresh), false));
}
