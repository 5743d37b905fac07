//! A file of packets: classic pcap, which everything reads. What an error leaves of it ends with a whole packet.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::libc;

use super::LONGEST;

/// Packets with Ethernet headers or, of an interface whose packets have none, with nothing before IP.
pub(super) struct Pcap {
    pub(super) out: BufWriter<File>,
    /// So much of the file is whole packets.
    whole: u64,
}

impl Pcap {
    /// A new file in the place of what is there, or the `same` as before, which goes on.
    pub(super) fn open(path: &Path, kind: u16, same: bool) -> io::Result<Self> {
        const LINKTYPE_ETHERNET: u32 = 1;
        const LINKTYPE_RAW: u32 = 101;
        let has_header = matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
        let link = if has_header { LINKTYPE_ETHERNET } else { LINKTYPE_RAW };
        // Magic number (microseconds), version 2.4, no time zone, the longest packet.
        let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, LONGEST as u32, link];
        let mut file = File::options().append(true).create(true).open(path)?;
        if !same {
            file.set_len(0)?;
        }
        let whole = file.seek(SeekFrom::End(0))?;
        let mut pcap = Self { out: BufWriter::new(file), whole };
        if whole == 0 {
            header.iter().try_for_each(|word| pcap.out.write_all(&word.to_le_bytes()))?;
        }
        // A link on which nothing ever passes has a file that can be read, too.
        pcap.flush()?;
        Ok(pcap)
    }

    pub(super) fn packet(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let len = bytes.len() as u32;
        let header = [now.as_secs() as u32, now.subsec_micros(), len, len];
        // What goes to the disk ends with a whole packet.
        if self.out.buffer().len() + size_of_val(&header) + bytes.len() > self.out.capacity() {
            self.flush()?;
        }
        header.iter().try_for_each(|word| self.out.write_all(&word.to_le_bytes()))?;
        self.out.write_all(bytes)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.whole = self.out.get_mut().stream_position()?;
        Ok(())
    }

    /// Ends it after an error: a part of a packet at its end would make what is added later unreadable.
    pub(super) fn end(self) {
        let (file, _) = self.out.into_parts();
        // It may be the disk that is gone.
        let _ = file.set_len(self.whole);
    }
}
