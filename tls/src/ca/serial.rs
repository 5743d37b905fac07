//! Serial numbers: 20 octets at most, positive, and not to be guessed (RFC 5280 4.1.2.2).

use rcgen::SerialNumber;

use super::CaError;
use crate::provider::provider;

/// A new one, of 126 random bits.
pub(super) fn draw() -> Result<SerialNumber, CaError> {
    let mut bytes = [0; 16];
    provider().secure_random.fill(&mut bytes).map_err(|_| CaError::Randomness)?;
    // Positive, and of one length for all.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// As `openssl` writes it: hexadecimal digits in pairs, without leading zeros.
pub(super) fn hex(bytes: &[u8]) -> String {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or_else(|| bytes.len().saturating_sub(1));
    bytes[start..].iter().map(|b| format!("{b:02X}")).collect()
}

/// The same, read.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let whole =
        !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let pairs =
        || text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    if whole { pairs() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_positive_random_and_of_sixteen_octets() {
        let drawn: Vec<_> = (0..64).map(|_| draw().unwrap().to_bytes()).collect();
        for (i, serial) in drawn.iter().enumerate() {
            assert_eq!(serial.len(), 16);
            assert!((0x40..0x80).contains(&serial[0]), "{serial:?}");
            assert!(!drawn[..i].contains(serial), "{serial:?} twice");
        }
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!((hex(&[0, 1]), hex(&[0]), hex(&[0x7f, 0xab])), ("01".into(), "00".into(), "7FAB".into()));
        assert_eq!(from_hex("7FAB"), Some(vec![0x7f, 0xab]));
        for nonsense in ["", "7", "7g", "+1", "ää"] {
            assert_eq!(from_hex(nonsense), None, "{nonsense:?}");
        }
    }
}
