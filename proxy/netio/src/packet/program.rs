//! Writing programs of the classic Berkeley filter (Linux `Documentation/networking/filter.rst`). They stop at the first
//! load of what the packet does not have, with the answer 0.

use libc::sock_filter;

#[derive(Clone, Copy)]
pub(super) enum Size {
    Word,
    Half,
    Byte,
}

impl Size {
    const fn code(self) -> u32 {
        match self {
            Self::Word => libc::BPF_W,
            Self::Half => libc::BPF_H,
            Self::Byte => libc::BPF_B,
        }
    }
}

/// Somewhere in a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A program that is being written. Long jumps go to labels, which are placed later.
pub(super) struct Program {
    network: u32,
    code: Vec<sock_filter>,
    /// Where each label is, once it is placed.
    labels: Vec<usize>,
    /// Jumps, and where they go.
    jumps: Vec<(usize, Label)>,
}

const LONGEST_LIST: usize = 4;

impl Program {
    /// For a kernel that shows it packets whose network header begins so far from their start. By number and not by
    /// `SKF_NET_OFF`, which finds only what a driver has not left in pages, in kernels before 6.16.
    pub(super) fn of_packets_with(network: u32) -> Self {
        Self { network, code: Vec::new(), labels: Vec::new(), jumps: Vec::new() }
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = self.code.len();
    }

    fn push(&mut self, code: u32, k: u32, (jt, jf): (u8, u8)) {
        self.code.push(sock_filter { code: code as u16, jt, jf, k });
    }

    fn step(&mut self, code: u32, k: u32) {
        self.push(code, k, (0, 0));
    }

    /// One of the kernel's own facts about the packet (`SKF_AD_...`).
    pub(super) fn ask(&mut self, fact: i32) {
        self.step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (libc::SKF_AD_OFF + fact).cast_unsigned());
    }

    /// How long the packet is, with its link's header.
    pub(super) fn ask_len(&mut self) {
        self.step(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0);
    }

    /// What is so far into the network header.
    pub(super) fn load(&mut self, size: Size, at: u32) {
        self.step(libc::BPF_LD | size.code() | libc::BPF_ABS, self.network + at);
    }

    /// What is so far behind the place that [`Self::index`] has named.
    pub(super) fn load_behind(&mut self, size: Size, at: u32) {
        self.step(libc::BPF_LD | size.code() | libc::BPF_IND, self.network + at);
    }

    /// Places that are so far into the network header as was loaded.
    pub(super) fn index(&mut self) {
        self.step(libc::BPF_MISC | libc::BPF_TAX, 0);
    }

    /// An operation (`BPF_AND`, ...) of what was loaded and a number.
    pub(super) fn with(&mut self, operation: u32, k: u32) {
        self.step(libc::BPF_ALU | operation | libc::BPF_K, k);
    }

    /// Keeps what was loaded, in one place, for [`Self::xor_kept`].
    pub(super) fn keep(&mut self) {
        self.step(libc::BPF_ST, 0);
    }

    /// Of what was loaded and what was kept. Whatever was named by [`Self::index`] is forgotten.
    pub(super) fn xor_kept(&mut self) {
        self.step(libc::BPF_LDX | libc::BPF_W | libc::BPF_MEM, 0);
        self.step(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0);
    }

    pub(super) fn go(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(libc::BPF_JMP | libc::BPF_JA, 0, (0, 0));
    }

    pub(super) fn unless_equal(&mut self, value: u32, label: Label) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, (1, 0));
        self.go(label);
    }

    pub(super) fn unless_over(&mut self, value: u32, label: Label) {
        self.push(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, value, (1, 0));
        self.go(label);
    }

    pub(super) fn if_any(&mut self, bits: u32, label: Label) {
        self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, (0, 1));
        self.go(label);
    }

    /// Goes to `found` if what was loaded is one of `values`, which are in order, and else to `missing`.
    pub(super) fn search(&mut self, values: &[u32], found: Label, missing: Label) {
        if values.len() <= LONGEST_LIST {
            for value in values {
                self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *value, (0, 1));
                self.go(found);
            }
            return self.go(missing);
        }
        let (low, high) = values.split_at(values.len() / 2);
        let in_high = self.label();
        self.push(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, high[0], (0, 1));
        self.go(in_high);
        self.search(low, found, missing);
        self.place(in_high);
        self.search(high, found, missing);
    }

    pub(super) fn end(&mut self, answer: u32) {
        self.step(libc::BPF_RET | libc::BPF_K, answer);
    }

    /// What was loaded is the answer.
    pub(super) fn end_with_it(&mut self) {
        // `BPF_A`.
        self.step(libc::BPF_RET | 0x10, 0);
    }

    pub(super) fn finish(mut self) -> Vec<sock_filter> {
        for (at, label) in self.jumps {
            self.code[at].k = (self.labels[label.0] - at - 1) as u32;
        }
        self.code
    }
}
