use super::*;

#[test]
fn rfc_1071_example() {
    // Section 3: 00 01 f2 03 f4 f5 f6 f7 sums to 2ddf0, folded ddf2.
    let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(sum(&data), 0xddf2);
    assert_eq!(!sum(&data), 0x220d);
}

#[test]
fn rfc_1624_example() {
    // Section 4: a word goes from 5555 to 3285 under a checksum of dd2f, and equation 3 gives 0000.
    assert_eq!(Delta::default().word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
}
