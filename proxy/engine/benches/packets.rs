//! Nanoseconds per packet, by forwarding method and kind of packet; and with 10,000 services of 10 servers each.

mod director;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::Coming;
use wire::build::tcp;
use wire::packet::head::AnyHead;

use director::{Case, Director, Kind, METHODS, client, vip};

/// Packets that are processed together.
const BATCH: usize = 64;

fn packets(c: &mut Criterion) {
    for (name, method, v6) in METHODS {
        let mut group = c.benchmark_group(name);
        // A connection that begins makes the table larger: `table` measures that.
        for (kind_name, kind) in Kind::ALL.into_iter().filter(|(_, kind)| *kind != Kind::Syn) {
            if !kind.is_of(method) {
                continue;
            }
            let mut case = Case::new(method, v6, kind);
            group.bench_function(kind_name, |b| {
                b.iter(|| {
                    case.restore();
                    case.process()
                });
            });
        }
    }
}

/// The packets of a thousand connections, spread over all services.
fn services(c: &mut Criterion) {
    let mut group = c.benchmark_group("services");
    for services in [1, 10_000] {
        let (_, method, v6) = METHODS[0];
        let mut director = Director::new(method, v6, services);
        let service = |n: u32| n * 7919 % services;
        let mut frames: Vec<_> = director::ring(1000).collect();
        for (n, frame) in (0..).zip(&mut frames) {
            let _ = director.put(&tcp(client(v6, n), vip(v6, service(n))).syn());
            frame.set_packet(&tcp(client(v6, n), vip(v6, service(n))).ack(1).payload_len(100).bytes());
        }
        let headers: Vec<[u8; 40]> =
            frames.iter().filter_map(|f| f.packet().first_chunk().copied()).collect();
        let mut n = 0;
        group.bench_function(format!("{services}"), |b| {
            b.iter(|| {
                n = (n + 1) % 1000;
                frames[n].packet_mut()[..40].copy_from_slice(&headers[n]);
                director.worker.process(&mut frames[n], director.now)
            });
        });
        // As a worker does that has several packets at a time.
        let mut batch = Vec::with_capacity(BATCH);
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(format!("{services}, in batches"), |b| {
            b.iter(|| {
                n = (n + BATCH) % (1000 - BATCH);
                batch.clear();
                for (frame, header) in frames.iter_mut().zip(&headers).skip(n).take(BATCH) {
                    frame.packet_mut()[..40].copy_from_slice(header);
                    batch.extend(AnyHead::of(frame.packet()).map(Coming::new));
                }
                director.worker.look_ahead(&mut batch);
                for (frame, coming) in frames.iter_mut().skip(n).zip(&batch) {
                    let _ = director.worker.process_coming(frame, coming, director.now);
                }
            });
        });
    }
}

criterion_group!(benches, packets, services);
criterion_main!(benches);
