//! One request and its response, again and again.
//!
//! The two directions are scanned apart, as bytes come, and meet here: what a response means depends on the request,
//! and whether another request may come depends on both. A tunnel, once both sides have agreed on one, is for ever.

use super::{
    Stamp, Status, body::Body, gather, gather::Gather, request, request::Asked, response, response::Follows,
};

/// Heads of requests are smuggled, therefore strict.
const REQUESTS: gather::Rules = gather::Rules { limit: 16 * 1024, strict: true };
/// Servers are ours. Some end lines as their grandparents did, and some set many cookies.
const RESPONSES: gather::Rules = gather::Rules { limit: 64 * 1024, strict: false };

/// What to do with bytes of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// The first so many go on as they are.
    Pass(usize),
    /// The first so many were taken: held, or written to the server's bytes in another form.
    Taken(usize),
    /// They belong to the next request, which has to wait until this exchange is complete.
    Hold,
}

/// What it means that the server has closed its direction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing is missing.
    Whole,
    /// No byte of the response has come.
    Unanswered,
    /// Half a response has gone to the client.
    Cut,
}

#[derive(Debug)]
enum Up {
    Head,
    Body(Body),
    Complete,
    Tunnel,
}

#[derive(Debug)]
enum Down {
    /// Nothing was asked.
    Quiet,
    Head,
    Body(Body),
    Complete,
    Tunnel,
}

/// The state of an HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    up: Up,
    down: Down,
    request: Gather,
    response: Gather,
    asked: Option<Asked>,
    /// The server keeps the connection.
    kept: bool,
    /// Bytes of the response have gone to the client.
    answered: bool,
}

impl Exchange {
    /// A connection on which nothing was asked yet.
    pub(crate) fn new() -> Self {
        Self {
            up: Up::Head,
            down: Down::Quiet,
            request: Gather::default(),
            response: Gather::default(),
            asked: None,
            kept: false,
            answered: false,
        }
    }

    /// Looks at what comes from the client. Heads are written to `out`, with the fields of `stamp`.
    pub(crate) fn scan_request(
        &mut self,
        input: &[u8],
        stamp: Option<&Stamp>,
        out: &mut Vec<u8>,
    ) -> Result<Scan, Status> {
        match &mut self.up {
            Up::Head => {
                let Some((head, taken)) = self.request.take(input, REQUESTS)? else {
                    return Ok(Scan::Taken(input.len()));
                };
                let mut asked = request::read(head, stamp, out)?;
                self.request.done();
                self.up = asked.body.take().map_or(Up::Complete, Up::Body);
                self.down = Down::Head;
                self.asked = Some(asked);
                Ok(Scan::Taken(taken))
            }
            Up::Body(body) => {
                let (n, last) = body.scan(input)?;
                if last {
                    self.up = Up::Complete;
                }
                Ok(Scan::Pass(n))
            }
            Up::Complete => Ok(Scan::Hold),
            Up::Tunnel => Ok(Scan::Pass(input.len())),
        }
    }

    /// Looks at what comes from the server, and gives to `pass` what goes to the client.
    pub(crate) fn scan_response(&mut self, input: &[u8], pass: &mut dyn FnMut(&[u8])) -> Result<(), Status> {
        // What goes on as it is goes on in one piece: each piece becomes a TLS record.
        let (mut from, mut at) = (0, 0);
        while at < input.len() {
            match &mut self.down {
                Down::Head => {
                    let Some((head, taken)) =
                        self.response.take(&input[at..], RESPONSES).map_err(|_| Status::BadGateway)?
                    else {
                        pass(&input[from..at]);
                        return Ok(());
                    };
                    let asked = self.asked.as_ref().ok_or(Status::BadGateway)?;
                    let (follows, kept) = response::read(head, asked)?;
                    self.kept = kept;
                    self.answered |= !matches!(follows, Follows::Head);
                    if matches!(follows, Follows::Tunnel) && !matches!(self.up, Up::Complete) {
                        return Err(Status::BadGateway);
                    }
                    if head.len() > taken {
                        pass(&input[from..at]);
                        pass(head);
                        from = at + taken;
                    }
                    at += taken;
                    self.response.done();
                    self.down = match follows {
                        Follows::Head => Down::Head,
                        Follows::Body(body) => Down::Body(body),
                        Follows::Nothing => Down::Complete,
                        Follows::Tunnel => {
                            self.up = Up::Tunnel;
                            Down::Tunnel
                        }
                    };
                }
                Down::Body(body) => {
                    let (n, last) = body.scan(&input[at..]).map_err(|_| Status::BadGateway)?;
                    at += n;
                    if last {
                        self.down = Down::Complete;
                    }
                }
                Down::Tunnel => at = input.len(),
                Down::Quiet | Down::Complete => {
                    pass(&input[from..at]);
                    return Err(Status::BadGateway);
                }
            }
        }
        pass(&input[from..at]);
        Ok(())
    }

    /// Whether the request, as far as it has come, may be asked of another server should this one not answer.
    pub(crate) fn repeatable(&self) -> bool {
        matches!(self.down, Down::Head)
            && !self.answered
            && !self.response.begun()
            && self.asked.as_ref().is_some_and(|asked| asked.repeatable)
    }

    /// Whether some of a head has come that is not complete.
    pub(crate) const fn heading(&self) -> bool {
        matches!(self.up, Up::Head) && self.request.begun()
    }

    /// Whether nothing was asked, or all that was asked is answered and the next request has not begun.
    pub(crate) const fn quiet(&self) -> bool {
        matches!((&self.up, &self.down), (Up::Head, Down::Quiet)) && !self.request.begun()
    }

    /// Whether the client has closed its direction in the middle of something.
    pub(crate) const fn cut(&self) -> bool {
        matches!(self.up, Up::Body(_)) || self.heading()
    }

    /// Whether both sides have agreed on another protocol.
    pub(crate) const fn tunnel(&self) -> bool {
        matches!(self.down, Down::Tunnel)
    }

    /// Whether bytes of the response have gone to the client: it is too late for an answer of ours.
    pub(crate) const fn answered(&self) -> bool {
        self.answered
    }

    /// The server takes nothing any more: this response is the last.
    pub(crate) const fn last(&mut self) {
        self.kept = false;
    }

    /// Whether the response is complete and no other one may come on this connection.
    pub(crate) fn is_last_complete(&self) -> bool {
        matches!(self.down, Down::Complete)
            && !(self.kept && self.asked.as_ref().is_some_and(|asked| asked.persist))
    }

    /// Once the response is complete: whether another request may come on this connection, after which the exchange
    /// begins anew. For that the request has to have gone on to its last byte, `passed`; a connection that ends does
    /// not wait for it.
    pub(crate) fn complete(&mut self, passed: bool) -> Option<bool> {
        if self.is_last_complete() {
            return Some(false);
        }
        if !matches!((&self.down, &self.up), (Down::Complete, Up::Complete)) || !passed {
            return None;
        }
        *self = Self::new();
        Some(true)
    }

    /// What it means that the server has closed its direction now.
    pub(crate) const fn server_ended(&self) -> Ended {
        match &self.down {
            Down::Quiet | Down::Complete | Down::Body(Body::UntilClose) | Down::Tunnel => Ended::Whole,
            Down::Head if !self.answered => Ended::Unanswered,
            Down::Head | Down::Body(_) => Ended::Cut,
        }
    }

    /// Bytes that are held.
    pub(crate) const fn held(&self) -> usize {
        self.request.len() + self.response.len()
    }
}
