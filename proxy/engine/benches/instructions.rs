//! Allocations of each kind of packet, and a way to have its instructions counted: `instructions.sh` runs it under
//! callgrind, which sees nothing but [`Case::process`]. Counts do not depend on what else the machine does.
//!
//! Without arguments, all cases with their allocations; with the name of one, its packet a thousand times.

#![expect(clippy::print_stdout, reason = "what it is for")]

mod director;

use director::{Case, Kind, METHODS};

/// Packets of a run.
const PACKETS: u64 = 1000;

fn main() {
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    for (method_name, method, v6) in METHODS {
        for (kind_name, kind) in Kind::ALL.into_iter().filter(|(_, kind)| kind.is_of(method)) {
            let name = format!("{method_name}/{kind_name}");
            match &wanted {
                None => println!("{name} {}", allocations(Case::new(method, v6, kind))),
                Some(wanted) if *wanted == name => {
                    let mut case = Case::new(method, v6, kind);
                    for _ in 0..PACKETS {
                        case.restore();
                        let _ = case.process();
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// Of one packet, with one digit behind the point: those of vectors that grow count in parts.
fn allocations(mut case: Case) -> String {
    let counted = allocation_counter::measure(|| {
        for _ in 0..PACKETS {
            case.restore();
            let _ = case.process();
        }
    });
    format!("{:.1}", counted.count_total as f64 / PACKETS as f64)
}
