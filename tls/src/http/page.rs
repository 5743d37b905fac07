//! The answers that a director gives by itself. After each the connection ends.

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The client speaks no HTTP that can be read in one way only.
    BadRequest,
    /// The head took too long.
    RequestTimeout,
    /// The head is too long.
    HeadTooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
    /// The server cannot be reached or speaks no HTTP.
    BadGateway,
    /// The server does not answer.
    GatewayTimeout,
}

impl Status {
    /// The number of the status line.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::RequestTimeout => 408,
            Self::HeadTooLarge => 431,
            Self::BadGateway => 502,
            Self::GatewayTimeout => 504,
            Self::VersionNotSupported => 505,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::RequestTimeout => "Request Timeout",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::BadGateway => "Bad Gateway",
            Self::GatewayTimeout => "Gateway Timeout",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is not HTTP/1.1 that can be read in one way only.\n",
            Self::RequestTimeout => "The head of the request took too long.\n",
            Self::HeadTooLarge => "The head of the request is too long.\n",
            Self::BadGateway => "The server cannot be reached, or its answer cannot be read.\n",
            Self::GatewayTimeout => "The server does not answer in time.\n",
            Self::VersionNotSupported => "This is neither HTTP/1.0 nor HTTP/1.1.\n",
        }
    }

    /// The whole answer.
    pub(crate) fn answer(self) -> Vec<u8> {
        answer(self, self.text())
    }
}

/// The answer to HTTP in clear where TLS is spoken.
pub(crate) fn tls_is_spoken_here() -> Vec<u8> {
    answer(Status::BadRequest, "This port speaks TLS: ask for https:// instead of http://.\n")
}

fn answer(status: Status, text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        status.code(),
        status.reason(),
        text.len(),
    )
    .into_bytes()
}
