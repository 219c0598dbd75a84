//! The store at a million files: what a write, a read, a page and a wake-up cost.
//!
//! `cargo bench --bench store`

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use doozer::core::id::Rev;
use doozer::core::store::{
    Condition, Glob, HistoryLimits, Mutation, Path, Store, Value, WatchId, Watches,
};

const FILES: u64 = 1_000_000;
const DIRS: u64 = 1_000;

fn path(text: String) -> Path {
    Path::parse(text.as_bytes()).expect("a well-formed path")
}

fn glob(text: String) -> Glob {
    Glob::parse(text.as_bytes()).expect("a well-formed pattern")
}

/// Files spread over directories, in an order without a pattern.
fn file(n: u64) -> Path {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    path(format!(
        "/tree/d{}/f{}",
        n % DIRS,
        n / DIRS % (FILES / DIRS)
    ))
}

fn set(path: Path) -> Mutation {
    Mutation::Set {
        path,
        value: Value(b"twelve bytes"[..].into()),
        condition: Condition::ANY,
    }
}

fn million() -> Store {
    let mut store = Store::new(HistoryLimits {
        revs: 2_000,
        bytes: 1 << 30,
    });
    for n in 0..FILES {
        store.apply(&set(path(format!("/tree/d{}/f{}", n % DIRS, n / DIRS))));
    }
    store
}

fn tree(c: &mut Criterion) {
    let mut store = million();
    let mut n = 0;
    let mut next = || {
        n += 1;
        n
    };
    c.bench_function("set", |b| {
        b.iter_batched(
            || set(file(next())),
            |set| store.apply(&set),
            BatchSize::SmallInput,
        )
    });
    c.bench_function("get", |b| {
        let view = store.at(None).expect("readable");
        b.iter_batched(
            || file(next()),
            |path| black_box(view.get(&path)),
            BatchSize::SmallInput,
        )
    });
    c.bench_function("getdir", |b| {
        let (view, dir) = (store.at(None).expect("readable"), path("/tree/d7".into()));
        b.iter(|| black_box(view.entry(&dir, next() % (FILES / DIRS))))
    });
    for pattern in ["/**", "/tree/d7/*", "/tree/*/f7"] {
        let (glob, mut offset) = (glob(pattern.into()), 0);
        c.bench_function(&format!("walk {pattern}"), |b| {
            b.iter(|| match store.walk(None, &glob, offset) {
                Ok(Some(_)) => offset += 1,
                Ok(None) | Err(_) => offset = 0,
            })
        });
    }
}

fn watches(c: &mut Criterion) {
    let mut watches = Watches::new();
    for n in 0..100_000 {
        let pattern = if n % 2 == 0 {
            format!("/w/s{n}/*")
        } else {
            format!("/w/s{n}/up")
        };
        watches.add(WatchId(n), glob(pattern), Rev(0));
    }
    let mut store = Store::new(HistoryLimits {
        revs: 2_000,
        bytes: 1 << 30,
    });
    let mut event = |at: &str| {
        let rev = store.apply(&set(path(at.into()))).rev;
        store.event(rev).expect("retained").clone()
    };
    let (nobody, somebody) = (event("/w/nobody/cares"), event("/w/s500/up"));
    c.bench_function("wake none of 100,000", |b| b.iter(|| watches.wake(&nobody)));
    c.bench_function("wake one of 100,000 and park it again", |b| {
        b.iter(|| {
            for id in watches.wake(&somebody) {
                watches.add(id, glob("/w/s500/*".into()), Rev(0));
            }
        })
    });
}

criterion_group!(benches, tree, watches);
criterion_main!(benches);
