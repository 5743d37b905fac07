//! Captures: packets of a file, and a file that `ulvs capture` writes.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader, PcapNgWriter};
use pcap_file::{DataLink, PcapError};

/// What `ulvs capture` says of a packet that it has written as it came already.
pub(crate) const AS_IT_LEAVES: &str = "as it leaves";

/// What a file has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Capture {
    /// Packets, from their IP headers on.
    pub(crate) packets: Vec<Vec<u8>>,
    /// It ends within a packet: whoever wrote it has not ended, or was killed.
    pub(crate) cut: bool,
}

/// The packets of a file: what has no IP header is left out, and so is what `ulvs capture` wrote of a packet as it leaves,
/// which did not come. "-" is standard input.
///
/// # Errors
/// In words: it cannot be read, is no capture of a kind that is understood, or has no packet.
pub(crate) fn read(path: &Path) -> Result<Capture, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut capture = Capture::default();
    let whole = if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        pcapng(&bytes, &mut capture.packets)
    } else {
        pcap(&bytes, &mut capture.packets)
    };
    match whole {
        Ok(()) => {}
        Err(error) if !capture.packets.is_empty() && ends(&error) => capture.cut = true,
        Err(error) => return Err(format!("{}: no capture (pcap or pcapng): {error}", path.display())),
    }
    if capture.packets.is_empty() {
        return Err(format!("{}: there is no IP packet in it", path.display()));
    }
    Ok(capture)
}

/// There were too few bytes.
const fn ends(error: &PcapError) -> bool {
    matches!(error, PcapError::IoError(_) | PcapError::IncompleteBuffer)
}

fn pcap(bytes: &[u8], packets: &mut Vec<Vec<u8>>) -> Result<(), PcapError> {
    let mut reader = PcapReader::new(bytes)?;
    let link = reader.header().datalink;
    while let Some(packet) = reader.next_packet() {
        packets.extend(packet_of(link, &packet?.data));
    }
    Ok(())
}

fn pcapng(bytes: &[u8], packets: &mut Vec<Vec<u8>>) -> Result<(), PcapError> {
    let mut reader = PcapNgReader::new(bytes)?;
    let mut links = Vec::new();
    while let Some(block) = reader.next_block() {
        match block? {
            // Each section has interfaces of its own.
            Block::SectionHeader(_) => links.clear(),
            Block::InterfaceDescription(interface) => links.push(interface.linktype),
            Block::EnhancedPacket(packet) if !leaves(&packet.options) => {
                let link = links.get(packet.interface_id as usize).copied();
                packets.extend(packet_of(link.unwrap_or(DataLink::ETHERNET), &packet.data));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a packet is one of ours as it leaves: programs that capture on a link call some outbound, too.
fn leaves(options: &[EnhancedPacketOption<'_>]) -> bool {
    let ours = |option: &_| matches!(option, EnhancedPacketOption::Comment(text) if text == AS_IT_LEAVES);
    options.iter().any(ours)
}

/// What is behind the link's header, if that is IP.
fn packet_of(link: DataLink, bytes: &[u8]) -> Option<Vec<u8>> {
    const VLAN: [u8; 2] = [0x81, 0x00];
    let ip = match link {
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => bytes,
        DataLink::ETHERNET if bytes.get(12..14)? == VLAN => bytes.get(18..)?,
        DataLink::ETHERNET => bytes.get(14..)?,
        DataLink::LINUX_SLL => bytes.get(16..)?,
        DataLink::LINUX_SLL2 => bytes.get(20..)?,
        DataLink::NULL | DataLink::LOOP => bytes.get(4..)?,
        _ => return None,
    };
    matches!(ip.first()? >> 4, 4 | 6).then(|| ip.to_vec())
}

/// A capture that is being written.
pub(crate) struct Writer<W: Write>(PcapNgWriter<W>);

/// What a packet in it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// As it came: inbound,
    Before = 1,
    /// or as it left: outbound.
    After = 2,
}

impl<W: Write> Writer<W> {
    /// With one interface: libpcap reads no more than one of raw IP.
    pub(crate) fn new(to: W, snaplen: u32) -> Result<Self, String> {
        let mut writer = PcapNgWriter::new(to).map_err(unwritten)?;
        let name = InterfaceDescriptionOption::IfName(Cow::Borrowed("ulvs"));
        // Nanoseconds.
        let options = vec![name, InterfaceDescriptionOption::IfTsResol(9)];
        let interface = InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen, options };
        writer.write_pcapng_block(interface).map_err(unwritten)?;
        Ok(Self(writer))
    }

    /// Adds a packet, of which `bytes` are the first of `len`.
    pub(crate) fn packet(
        &mut self,
        side: Side,
        at: Duration,
        (bytes, len): (&[u8], usize),
        comment: &str,
    ) -> Result<(), String> {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: at,
            original_len: u32::try_from(len).unwrap_or(u32::MAX),
            data: Cow::Borrowed(bytes),
            options: vec![
                EnhancedPacketOption::Comment(Cow::Borrowed(comment)),
                EnhancedPacketOption::Flags(side as u32),
            ],
        };
        self.0.write_pcapng_block(block).map_err(unwritten)?;
        Ok(())
    }

    /// Hands on what has been written.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        self.0.get_mut().flush().map_err(|error| error.to_string())
    }
}

fn unwritten(error: PcapError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, 96).unwrap();
        let packet = wire::build::tcp("10.0.0.1:1", "10.0.0.2:2").syn().bytes();
        let at = Duration::from_nanos(1_700_000_000_123_456_789);
        writer.packet(Side::Before, at, (&packet, packet.len()), "came").unwrap();
        writer.packet(Side::After, at, (&packet, 9000), "outbound").unwrap();
        writer.packet(Side::After, at, (&packet, 9000), AS_IT_LEAVES).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.pcapng");
        std::fs::write(&path, &file).unwrap();
        assert_eq!(read(&path), Ok(Capture { packets: vec![packet.clone(), packet], cut: false }));
        std::fs::write(&path, "no capture").unwrap();
        assert!(read(&path).unwrap_err().contains("no capture (pcap or pcapng)"));
    }

    #[test]
    fn of_a_file_that_ends_within_a_packet_those_before_it_are_read() {
        let packet = wire::build::tcp("10.0.0.1:1", "10.0.0.2:2").syn().bytes();
        let mut ng = Vec::new();
        let mut writer = Writer::new(&mut ng, 96).unwrap();
        // As tcpdump writes: the file's header, and a header before each packet.
        let mut plain = [[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], [0; 8], [0, 0, 4, 0, 101, 0, 0, 0]].concat();
        for _ in 0..2 {
            writer.packet(Side::Before, Duration::ZERO, (&packet, packet.len()), "came").unwrap();
            let len = u32::try_from(packet.len()).unwrap().to_le_bytes();
            plain.extend([&[0; 8], &len[..], &len, &packet].concat());
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut");
        for file in [ng, plain] {
            for (missing, packets, cut) in [(0, 2, false), (1, 1, true), (packet.len(), 1, true)] {
                std::fs::write(&path, &file[..file.len() - missing]).unwrap();
                let packets = vec![packet.clone(); packets];
                assert_eq!(read(&path), Ok(Capture { packets, cut }), "{missing}");
            }
        }
    }

    #[test]
    fn a_section_of_a_file_has_interfaces_of_its_own() {
        let packet = wire::build::tcp("10.0.0.1:1", "10.0.0.2:2").syn().bytes();
        let on_a_link = [&[0; 12], &[8, 0][..], &packet].concat();
        let mut file = Vec::new();
        for (link, bytes) in [(DataLink::RAW, &packet), (DataLink::ETHERNET, &on_a_link)] {
            let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
            let options = Vec::new();
            let interface = InterfaceDescriptionBlock { linktype: link, snaplen: 96, options };
            writer.write_pcapng_block(interface).unwrap();
            let mut writer = Writer(writer);
            writer.packet(Side::Before, Duration::ZERO, (bytes, bytes.len()), "came").unwrap();
            file.extend(writer.0.into_inner());
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("two");
        std::fs::write(&path, &file).unwrap();
        assert_eq!(read(&path), Ok(Capture { packets: vec![packet; 2], cut: false }));
    }
}
