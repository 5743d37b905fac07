use super::*;

/// What is named in the segments, as they come: number of the first byte, and port.
fn named(direction: Direction, segments: &[(u32, &str)]) -> Vec<(u32, u16)> {
    let mut talk = Talk { asked: 8, ..Talk::default() };
    let mut all = Vec::new();
    for (seq, text) in segments {
        talk.hear(
            direction,
            *seq,
            text.as_bytes(),
            |_| true,
            |at, named, _| {
                all.push((at, named.port));
                None
            },
        );
    }
    all
}

const PORT: &str = "PORT 10,0,0,1,4,1\r\n";

#[test]
fn whole_lines_are_heard_once_wherever_they_stand() {
    let commands = |segments: &[(u32, &str)]| named(Direction::In, segments);
    assert_eq!(commands(&[(100, PORT)]), [(105, 1025)]);
    let three = "NOOP\r\nPORT 10,0,0,1,4,1\r\nRETR a\r\neprt |1|10.0.0.1|2000|\nNOOP\r\n";
    assert_eq!(commands(&[(100, three)]), [(111, 1025), (138, 2000)]);
    assert_eq!(commands(&[(100, PORT), (100, PORT), (119, PORT)]), [(105, 1025), (124, 1025)]);
    assert_eq!(commands(&[(u32::MAX - 3, PORT), (15, PORT)]), [(1, 1025), (20, 1025)], "numbers pass zero");
    assert_eq!(commands(&[(100, PORT), (100, &format!("{PORT}{PORT}"))]), [(105, 1025), (124, 1025)]);
    assert_eq!(commands(&[(100, "NOOP PORT 10,0,0,1,4,1\r\n")]), []);
}

#[test]
fn a_line_that_is_split_is_not_heard() {
    let commands = |segments: &[(u32, &str)]| named(Direction::In, segments);
    for at in 1..PORT.len() {
        let (one, other) = PORT.split_at(at);
        let whole = format!("{other}{PORT}");
        let place = 100 + PORT.len() as u32 + 5;
        assert_eq!(commands(&[(100, one), (100 + at as u32, &whole)]), [(place, 1025)], "after {one:?}");
        // Nor when it comes again in one piece: part of it has gone on.
        assert_eq!(commands(&[(100, one), (100, PORT)]), []);
    }
    // What looks like a line may be the end of one.
    assert_eq!(commands(&[(100, "STOR name"), (109, PORT), (128, PORT)]), [(133, 1025)]);
}

#[test]
fn what_comes_after_later_bytes_is_not_heard() {
    let commands = |segments: &[(u32, &str)]| named(Direction::In, segments);
    assert_eq!(commands(&[(100, "NOOP\r\n"), (125, "NOOP\r\n"), (106, PORT)]), []);
    assert_eq!(
        commands(&[(100, "STOR na"), (200, PORT)]),
        [(205, 1025)],
        "what is missing has ended the line"
    );
}

#[test]
fn a_reply_is_heard_where_it_has_been_asked_for() {
    let mut talk = Talk::default();
    let mut seqs = [1000; 2];
    let mut say = |direction: Direction, text: &str| {
        let seq = &mut seqs[direction as usize];
        let mut ports = Vec::new();
        talk.hear(
            direction,
            *seq,
            text.as_bytes(),
            |_| true,
            |_, named, _| {
                ports.push(named.port);
                None
            },
        );
        *seq += text.len() as u32;
        ports
    };
    let passive = "227 Go (10,0,0,1,4,1)\r\n";
    assert_eq!(say(Direction::Out, passive), []);
    assert_eq!(say(Direction::In, "PASV\r\n"), []);
    assert_eq!(say(Direction::Out, passive), [1025]);
    assert_eq!(say(Direction::Out, passive), []);
    assert_eq!(say(Direction::In, "EPSV\r\nEPSV ALL\r\nPASV\r\n"), []);
    assert_eq!(say(Direction::Out, &format!("{passive}229 (|||2000|)\r\n{passive}")), [1025, 2000]);
    // A name of a file in a listing.
    assert_eq!(say(Direction::In, "STAT *\r\nPASV\r\n"), []);
    assert_eq!(say(Direction::Out, &format!("213-Status\r\n{passive}213-\r\n 213 x\r\n")), []);
    assert_eq!(say(Direction::Out, &format!("{passive}213 End\r\n{passive}")), [1025]);
    assert_eq!(say(Direction::In, "PASV\r\n"), []);
    assert_eq!(say(Direction::Out, &format!("227-Listen\r\n{passive}")), [1025], "its last line");
}

/// The stream that a receiver gets, byte by byte, from segments cut anyhow and sent anyhow often.
#[test]
fn whatever_segments_it_comes_in_the_stream_is_the_same() {
    let text = format!("NOOP\r\n{PORT}RETR a\r\n{PORT}");
    let new = b"<ten bytes>";
    let mut talk = Talk::default();
    talk.hear(Direction::In, 100, text.as_bytes(), |_| true, |_, _, _| Some(new.to_vec()));
    let expected = "NOOP\r\nPORT <ten bytes>\r\nRETR a\r\nPORT <ten bytes>\r\n".as_bytes();
    let shifts = crate::conn::Shifts::default();
    for at in [111, 138] {
        shifts.replace(Direction::In, at, 12, new.len() as u32);
    }
    for from in 0..text.len() {
        for to in from + 1..=text.len() {
            let mut segment = text.as_bytes()[from..to].to_vec();
            let mut seq = 100 + from as u32;
            for edit in talk.edits(Direction::In, seq, segment.len()).collect::<Vec<_>>() {
                match edit {
                    Edit::Replace(range, by) => drop(segment.splice(range, by.iter().copied())),
                    Edit::Behead(len, number) => {
                        segment.drain(..len);
                        seq = number;
                    }
                }
            }
            let at = (shifts.shifted(Direction::In, seq) - 100) as usize;
            assert_eq!(segment, expected[at..at + segment.len()], "{from}..{to}");
        }
    }
}

#[test]
fn a_replacement_is_remembered_until_the_receiver_has_it() {
    let len = PORT.len() as u32;
    let mut talk = Talk::default();
    let mut replaced = |segments: u32, has_it: bool| {
        let mut n = 0;
        for seq in (0..segments).map(|at| 100 + len * at) {
            talk.hear(
                Direction::In,
                seq,
                PORT.as_bytes(),
                |_| has_it,
                |_, _, free| {
                    n += usize::from(free);
                    free.then(|| vec![b'x'])
                },
            );
        }
        n
    };
    assert_eq!(replaced(10, false), KEPT);
    assert_eq!(replaced(12, true), 2);
    let edits = |seq| talk.edits(Direction::In, seq, len as usize).collect::<Vec<_>>();
    assert_eq!(edits(100), [Edit::Behead(19, 136)], "all before what has been forgotten");
    assert_eq!(edits(100 + len), [Edit::Behead(17, 136)]);
    assert_eq!(edits(100 + 2 * len), [Edit::Replace(5..17, b"x")]);
    assert_eq!(edits(100 + 11 * len), [Edit::Replace(5..17, b"x")]);
    assert_eq!(edits(100 + 9 * len), [], "there was no room for it");
}
