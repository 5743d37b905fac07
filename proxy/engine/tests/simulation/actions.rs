//! What may happen, and how often.

use crate::around::{
    a_late_worker, a_moment, a_server_is_emptied, a_while, add_service, an_age, edit_dest, edit_service,
    host_changes, lips_change, orphans_end, path_changes, settings_change,
};
use crate::health::{a_server_dies_or_returns, the_sorry_server_is_needed_or_not};
use crate::icmp::{error_about_nothing, error_about_reply, error_about_request, error_about_tunnel};
use crate::traffic::{
    association, client_opens, client_talks, datagram, flood, fragments, garbage, martian, other_protocol,
    ping, server_talks, stray_from_client, stray_from_server,
};
use crate::world::World;

type Action = fn(&mut World);

/// Out of about 600.
const ACTIONS: &[(u64, Action)] = &[
    (120, client_talks),
    (90, server_talks),
    (120, client_opens),
    (42, datagram),
    (40, association),
    (24, stray_from_client),
    (12, stray_from_server),
    (18, error_about_request),
    (18, error_about_reply),
    (9, error_about_nothing),
    (12, error_about_tunnel),
    (12, ping),
    (9, martian),
    (12, fragments),
    (9, other_protocol),
    (9, garbage),
    (50, a_moment),
    (10, a_while),
    (1, an_age),
    (2, a_late_worker),
    (20, edit_dest),
    (5, edit_service),
    (2, host_changes),
    (9, path_changes),
    (3, lips_change),
    (1, flood),
    (4, settings_change),
    (6, orphans_end),
    (2, a_server_is_emptied),
    (5, a_server_dies_or_returns),
    (1, the_sorry_server_is_needed_or_not),
];

/// One step.
pub(crate) fn act(world: &mut World) {
    world.rng.weighted(ACTIONS)(world);
}

/// A few services to begin with.
pub(crate) fn begin(world: &mut World) {
    world.mark();
    world.set_host([], [false; 2]);
    for _ in 0..8 {
        add_service(world);
    }
}
