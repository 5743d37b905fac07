//! ClientHellos made by hand, good ones and others (RFC 8446, 4.1.2).

/// The parts of a ClientHello. By default it is a good one, for both versions.
#[derive(Clone)]
pub struct Hello {
    pub version: [u8; 2],
    pub session: Vec<u8>,
    pub suites: Vec<u8>,
    pub compression: Vec<u8>,
    pub extensions: Vec<(u16, Vec<u8>)>,
}

pub const SERVER_NAME: u16 = 0;
pub const GROUPS: u16 = 10;
pub const SCHEMES: u16 = 13;
pub const PADDING: u16 = 21;
pub const VERSIONS: u16 = 43;
pub const KEY_SHARE: u16 = 51;

impl Default for Hello {
    fn default() -> Self {
        // x25519, and the base point, which is a key as good as any.
        let mut share = vec![0, 36, 0, 29, 0, 32];
        share.extend([9]);
        share.extend([0; 31]);
        Self {
            version: [3, 3],
            session: vec![5; 32],
            suites: vec![0x13, 1, 0x13, 2, 0xc0, 0x2b, 0xc0, 0x2f],
            compression: vec![0],
            extensions: vec![
                (SERVER_NAME, sni("one.example")),
                (GROUPS, vec![0, 4, 0, 29, 0, 23]),
                (11, vec![1, 0]),
                (SCHEMES, vec![0, 6, 4, 3, 8, 4, 8, 7]),
                (23, Vec::new()),
                (VERSIONS, vec![4, 3, 4, 3, 3]),
                (KEY_SHARE, share),
            ],
        }
    }
}

/// The extension that asks for a name.
pub fn sni(name: &str) -> Vec<u8> {
    let len = name.len() as u8;
    [&[0, len + 3, 0, 0, len], name.as_bytes()].concat()
}

impl Hello {
    /// With another content of an extension.
    pub fn with(mut self, kind: u16, content: &[u8]) -> Self {
        self.extensions.retain(|(known, _)| *known != kind);
        self.extensions.push((kind, content.to_vec()));
        self
    }

    /// Without one.
    pub fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(known, _)| *known != kind);
        self
    }

    /// With so many bytes of padding.
    pub fn padded(self, len: usize) -> Self {
        self.with(PADDING, &vec![0; len])
    }

    /// What is in the message.
    pub fn body(&self) -> Vec<u8> {
        let mut body = [&self.version[..], &[7; 32], &[self.session.len() as u8], &self.session].concat();
        body.extend((self.suites.len() as u16).to_be_bytes());
        body.extend(&self.suites);
        body.push(self.compression.len() as u8);
        body.extend(&self.compression);
        let mut extensions = Vec::new();
        for (kind, content) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            extensions.extend((content.len() as u16).to_be_bytes());
            extensions.extend(content);
        }
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        body
    }

    /// The message.
    pub fn message(&self) -> Vec<u8> {
        message(1, &self.body())
    }

    /// In one record.
    pub fn record(&self) -> Vec<u8> {
        record(22, &self.message())
    }

    /// In records of so many bytes.
    pub fn records(&self, len: usize) -> Vec<u8> {
        self.message().chunks(len).flat_map(|chunk| record(22, chunk)).collect()
    }
}

/// A message of a handshake.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (body.len() as u32).to_be_bytes();
    [&[kind][..], &len, body].concat()
}

/// A record.
pub fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1][..], &(content.len() as u16).to_be_bytes(), content].concat()
}

/// The alert in clear that an answer ends with, if it is fatal.
pub fn alert_of(answer: &[u8]) -> Option<u8> {
    let mut rest = answer;
    let mut last = None;
    while let [kind, 3, _, high, low, content @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(content.len());
        last = match (kind, &content[..len]) {
            (21, [2, alert]) => Some(*alert),
            _ => None,
        };
        rest = &content[len..];
    }
    last
}
