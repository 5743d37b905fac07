//! Big-endian fields by offset.

/// The 16-bit field at `at`.
#[inline(always)]
pub(crate) fn get16(bytes: &[u8], at: usize) -> u16 {
    let field = &bytes[at..at + 2];
    u16::from_be_bytes([field[0], field[1]])
}

/// The 32-bit field at `at`.
#[inline(always)]
pub(crate) fn get32(bytes: &[u8], at: usize) -> u32 {
    let field = &bytes[at..at + 4];
    u32::from_be_bytes([field[0], field[1], field[2], field[3]])
}

/// Stores a 16-bit field at `at`.
#[inline(always)]
pub(crate) fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Stores a 32-bit field at `at`.
#[inline(always)]
pub(crate) fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
