//! An engine that has always the same to say.

use std::sync::Arc;

use sched::{CertFiles, Op, OpError, Proto, ServiceKey, TlsFront, Weight};
use tokio::sync::oneshot;

use super::super::*;

pub(super) const CONNS: u64 = 25;

/// Refuses every edit of port 1, and every front for its files; has [`CONNS`] connections, seven to a page.
pub(super) struct Fake {
    pub(super) stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl Backend for Fake {
    fn status(&self) -> Status {
        Status { version: "1.2.3".to_owned(), pid: 7, ..Status::default() }
    }

    fn services(&self) -> ServiceList {
        ServiceList { generation: 9, ..ServiceList::default() }
    }

    fn explain(&self, order: ExplainOrder) -> Result<serde_json::Value, String> {
        if order.packet.is_empty() {
            Err("no packet".into())
        } else {
            Ok(serde_json::json!({ "of": order.packet }))
        }
    }

    fn trace(&self, order: TraceOrder) -> Result<Lines, String> {
        if order.filter == "nonsense" {
            return Err("no such word".into());
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        for line in ["1", "2", "3"] {
            sender.try_send(line.to_owned()).unwrap();
        }
        // As long as somebody reads there may be more.
        Ok(Lines::new(receiver, move || drop(sender)))
    }

    async fn health(&self) -> HealthList {
        let service = ServiceHealth {
            service: order().service,
            checked: true,
            quorum: true,
            weight: 1,
            needed: 1,
            hysteresis: 0,
            sorry: None,
            on_sorry: false,
            panic: false,
            servers: vec![server_health("up")],
        };
        HealthList { services: vec![service] }
    }

    async fn server(&self, order: ServerOrder) -> Result<ServerHealth, ApplyError> {
        match order.to {
            ServerWord::Down => Ok(server_health("down by hand")),
            ServerWord::Up => Ok(server_health("up by hand")),
            ServerWord::Auto => Err(ApplyError::Refused { index: 0, error: OpError::NoSuchDest }),
        }
    }

    fn events(&self) -> Result<Lines, String> {
        self.trace(TraceOrder::default())
    }

    fn drops(&self) -> DropList {
        DropList::default()
    }

    fn marks(&self) -> MarkList {
        MarkList { generation: 9, ..MarkList::default() }
    }

    fn connections(&self, query: &ConnQuery) -> ConnPage {
        let page =
            (query.cursor..(query.cursor + 7).min(CONNS)).map(conn).filter(|c| query.matches(c)).collect();
        ConnPage { connections: page, next: Some(query.cursor + 7).filter(|n| *n < CONNS) }
    }

    async fn apply(&self, request: Apply) -> Result<Applied, ApplyError> {
        let refused = |op: &Op| matches!(op, Op::DelService { key: ServiceKey::Addr { l4_port: 1, .. } });
        if let Some(index) = request.ops.iter().position(|op| matches!(op, Op::SetTls { .. })) {
            return Err(ApplyError::Files {
                index,
                reason: "cannot read /site.crt: no such file".to_owned(),
            });
        }
        let failures: Vec<_> = request.ops.iter().enumerate().filter(|(_, op)| refused(op)).collect();
        let error = OpError::NoSuchService;
        if let (ApplyMode::Atomic, Some((index, _))) = (request.mode, failures.first()) {
            return Err(ApplyError::Refused { index: *index, error });
        }
        let failures = failures.into_iter().map(|(index, _)| OpFailure { index, error }).collect();
        Ok(Applied { generation: 10, failures })
    }

    fn settings(&self) -> Settings {
        Settings::new(true)
    }

    async fn set(&self, change: SettingsChange) -> Result<Settings, SetError> {
        Ok(self.settings().changed(&change)?)
    }

    async fn drain(&self, order: DrainOrder) -> Result<DrainView, ApplyError> {
        if order.undo {
            return Err(ApplyError::System("it is not being drained".to_owned()));
        }
        Ok(drained(order))
    }

    async fn drains(&self) -> DrainList {
        DrainList { drains: vec![drained(order())] }
    }

    fn tls(&self) -> TlsList {
        TlsList { fronts: vec![front()] }
    }

    async fn reload_tls(&self) -> Result<TlsReloaded, String> {
        let changes = vec!["/site.crt: www.example until 2030-01-01".to_owned()];
        let one = TlsReload { service: order().service, changes, error: Some("no".to_owned()) };
        Ok(TlsReloaded { fronts: vec![one] })
    }

    async fn reload(&self) -> Result<Reloaded, String> {
        Err("ulvs.toml:3:1: no".to_owned())
    }

    fn stop(&self) {
        if let Some(stop) = self.stop.lock().unwrap().take() {
            let _ = stop.send(());
        }
    }
}

pub(super) fn conn(n: u64) -> ConnView {
    ConnView {
        proto: Some(Proto::Tcp),
        template: false,
        pe: None,
        expires: 899,
        state: "ESTABLISHED".into(),
        client: format!("10.0.{}.2:{}", n % 2, 50000 + n).parse().unwrap(),
        vip: "10.0.0.1:80".parse().unwrap(),
        dest: "192.168.1.2:8080".parse().unwrap(),
    }
}

pub(super) fn server_health(state: &str) -> ServerHealth {
    ServerHealth {
        server: order().server,
        state: state.to_owned(),
        alive: true,
        used: true,
        draining: false,
        weight: Weight(1),
        effective: Weight(1),
        warming: None,
        since_ms: 5,
        reason: "it answers".to_owned(),
        falls: 0,
        rises: 1,
        checks: Vec::new(),
    }
}

pub(super) fn front() -> TlsView {
    let pair = CertFiles { cert: "/site.crt".into(), key: "/site.key".into(), ocsp: None };
    let certificate = CertView {
        file: "/site.crt".into(),
        names: vec!["www.example".to_owned()],
        subject: "CN=www.example".to_owned(),
        issuer: "CN=ulvs CA".to_owned(),
        not_before: 0,
        not_after: 86_400,
        key: "ECDSA P-256".to_owned(),
        fingerprint: "00".repeat(32),
        days_left: -1,
        warnings: vec!["it is over".to_owned()],
    };
    let vips = vec!["10.0.0.1".parse().unwrap()];
    let view = TlsView::new(order().service, vips, Arc::new(TlsFront::new(pair)));
    let counters = [(TlsView::FULL.to_owned(), 7)].into();
    TlsView { certificates: vec![certificate], counters, sessions: 3, error: Some("no".to_owned()), ..view }
}

pub(super) fn order() -> DrainOrder {
    DrainOrder {
        service: ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()),
        server: "192.168.1.2:8080".parse().unwrap(),
        deadline: Some(60),
        undo: false,
    }
}

pub(super) fn drained(order: DrainOrder) -> DrainView {
    DrainView {
        service: order.service,
        server: order.server,
        weight: Weight(3),
        active: 1,
        inactive: 2,
        seconds_left: order.deadline,
        reset: 0,
    }
}
