//! Those that hash addresses.

use std::net::{IpAddr, SocketAddr};

use sched::{Change, DestKey, Flow, SchedFlags};

use super::{Model, Server};

/// Buckets are dealt to the servers in turn.
pub(super) struct Dh;

impl Model for Dh {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        let bucket = high_bits(number(flow.vip.ip()), 256);
        let owner = list.iter().cycle().nth(bucket as usize)?;
        owner.can_be_chosen().then_some(owner.addr)
    }
}

/// Slots are dealt to the servers in turn, as many to each as it has weight, but one at least.
pub(super) struct Sh(pub(super) SchedFlags);

impl Model for Sh {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        let turn = |server| std::iter::repeat_n(server, Server::weight(server).clamp(1, 256));
        let owner = |slot: u64| list.iter().flat_map(turn).cycle().nth((slot % 256) as usize);
        let in_slot = |slot: u64| owner(slot).filter(|server| server.can_be_chosen());
        let slot = |offset: u64| offset + high_bits(client(flow, self.0), 256);
        let tries = if self.0.has(SchedFlags::ONE) { 256 } else { 0 };
        let mut others = (0..tries).map(|i| slot(slot(0) + i));
        in_slot(slot(0)).or_else(|| others.find_map(in_slot)).map(|server| server.addr)
    }

    fn switched(&mut self, flags: SchedFlags) {
        self.0 = flags;
    }
}

/// Every server asks for its favourite among the slots that are left, in turn, so often as its weight says.
pub(super) struct Mh {
    flags: SchedFlags,
    slots: Vec<DestKey>,
}

const SLOTS: u64 = 4093;

impl Mh {
    pub(super) fn new(flags: SchedFlags) -> Self {
        Self { flags, slots: Vec::new() }
    }
}

impl Model for Mh {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        if !list.iter().any(Server::can_be_chosen) || self.slots.is_empty() {
            return None;
        }
        let slot = |offset| sip13(FIRST, offset + client(flow, self.flags)) % SLOTS;
        let in_slot = |slot: u64| {
            list.iter().find(|server| server.addr == self.slots[slot as usize] && server.can_be_chosen())
        };
        let tries = if self.flags.has(SchedFlags::ONE) { SLOTS } else { 0 };
        let mut others = (0..tries).map(|i| slot((slot(0) + i) % SLOTS));
        in_slot(slot(0)).or_else(|| others.find_map(in_slot)).map(|server| server.addr)
    }

    fn changed(&mut self, list: &[Server], _change: Change) {
        let weights = || list.iter().map(|server| server.last_weight).filter(|weight| *weight > 0);
        let Some(heaviest) = weights().max() else {
            self.slots.clear();
            return;
        };
        let divisor =
            (1..=heaviest.min(1000)).chain(weights()).filter(|d| weights().all(|w| w % d == 0)).max();
        let divisor = divisor.unwrap();
        // Halved until the heaviest has 63 or less.
        let halvings = (0..).find(|n| heaviest / divisor / (1 << n) < 64).unwrap();
        let mut askers: Vec<_> = list
            .iter()
            .filter(|server| server.last_weight > 0)
            .map(|server| {
                let number = port_and_address(server.addr);
                let (offset, skip) = (sip13(FIRST, number) % SLOTS, sip13(SECOND, number) % (SLOTS - 1) + 1);
                let favourites = (0..).map(move |i| (offset + i * skip) % SLOTS);
                (server.addr, (server.last_weight / divisor / (1 << halvings)).max(1), favourites)
            })
            .collect();
        let mut slots = vec![None; SLOTS as usize];
        let mut left = SLOTS;
        while left > 0 {
            for (addr, times, favourites) in &mut askers {
                for _ in 0..(*times).min(left.into()) {
                    let free = favourites.find(|slot| slots[*slot as usize].is_none()).unwrap();
                    slots[free as usize] = Some(*addr);
                    left -= 1;
                }
            }
        }
        self.slots = slots.into_iter().flatten().collect();
    }

    fn switched(&mut self, flags: SchedFlags) {
        self.flags = flags;
    }
}

/// The client as a number; its port counts with flag 2.
fn client(flow: &Flow, flags: SchedFlags) -> u64 {
    if flags.has(SchedFlags::TWO) { port_and_address(flow.client) } else { number(flow.client.ip()) }
}

fn port_and_address(addr: SocketAddr) -> u64 {
    number(addr.ip()) + u64::from(addr.port())
}

/// Four bytes, most significant first; of IPv6, those of its four words combined by exclusive or.
pub(super) fn number(addr: IpAddr) -> u64 {
    let bytes = match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    bytes
        .chunks(4)
        .map(|word| word.iter().fold(0, |n, byte| n * 256 + u64::from(*byte)))
        .fold(0, |a, b| a ^ b)
}

/// A hash below `end`, a power of two: the product with 2^32 divided by the square of the golden ratio.
fn high_bits(number: u64, end: u64) -> u64 {
    ((number % (1 << 32)) * 0x61c8_8647) % (1 << 32) / ((1 << 32) / end)
}

const FIRST: u64 = 2_654_435_761;
const SECOND: u64 = 2_654_446_892;

/// SipHash-1-3 (Aumasson and Bernstein, section 2) of the number as four bytes, least significant first, with `key` in
/// both halves of the key. The lower half of the result.
fn sip13(key: u64, number: u64) -> u64 {
    let initial = b"somepseudorandomlygeneratedbytes".chunks(8);
    let initial = initial.map(|word| word.iter().fold(0, |n: u64, byte| n << 8 | u64::from(*byte)));
    let mut v: Vec<u64> = initial.map(|word| word ^ key).collect();
    let message = number % (1 << 32) + (4 << 56);
    v[3] ^= message;
    compress(&mut v);
    v[0] ^= message;
    v[2] ^= 0xff;
    (0..3).for_each(|_| compress(&mut v));
    (v[0] ^ v[1] ^ v[2] ^ v[3]) % (1 << 32)
}

/// The rounds of the paper's figure 2.1: additions into the first, rotations of the second.
fn compress(v: &mut [u64]) {
    let mut half = |[a, b, rotate_b]: [usize; 3], [c, d, rotate_d]: [usize; 3]| {
        for [sum, term, by] in [[a, b, rotate_b], [c, d, rotate_d]] {
            v[sum] = v[sum].wrapping_add(v[term]);
            v[term] = v[term].rotate_left(by as u32) ^ v[sum];
        }
        v[a] = v[a].rotate_left(32);
    };
    half([0, 1, 13], [2, 3, 16]);
    half([2, 1, 17], [0, 3, 21]);
}
