//! A server that speaks the client protocol from a small store in memory, and misbehaves on
//! demand. Several servers may share one store, as the members of a cluster do.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use doozer::core::protocol::client::{
    ErrorCode, FLAG_DEL, FLAG_SET, REV_DIR, Request, Response, Verb, decode_frame, detail,
    encode_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// How a server behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers everything.
    Member,
    /// It refuses writes.
    Standby,
    /// It does what a request of this verb wants, and closes the connection without an answer.
    DropsAfter(Verb),
    /// It accepts and never answers.
    Mute,
    /// It closes each connection at its n-th request.
    DropsAt(usize),
    /// It wants this secret.
    Secret(&'static str),
    /// It does what a write wants, and does not know what came of it.
    Behind,
    /// It takes so many requests of a connection at a time, and refuses more.
    Takes(usize),
}

struct Change {
    rev: i64,
    path: String,
    value: Vec<u8>,
    flags: i32,
}

/// What servers share.
pub struct Cluster {
    store: Mutex<Store>,
    /// Held from looking at a file to changing it.
    writing: Mutex<()>,
    rev: watch::Sender<i64>,
}

struct Store {
    files: BTreeMap<String, (i64, Vec<u8>)>,
    changes: Vec<Change>,
    /// The oldest revision that is not forgotten.
    oldest: i64,
    /// All requests that any server got.
    seen: Vec<Request>,
}

impl Cluster {
    pub fn new() -> Arc<Cluster> {
        let store = Store {
            files: BTreeMap::new(),
            changes: Vec::new(),
            oldest: 1,
            seen: Vec::new(),
        };
        Arc::new(Cluster {
            store: Mutex::new(store),
            writing: Mutex::new(()),
            rev: watch::Sender::new(0),
        })
    }

    /// A cluster of which server is a member.
    pub fn of(files: &[(&str, &str)]) -> Arc<Cluster> {
        let cluster = Cluster::new();
        for (path, value) in files {
            cluster.put(path, value);
        }
        cluster
    }

    pub fn put(&self, path: &str, value: &str) -> i64 {
        self.apply(path, value.as_bytes(), FLAG_SET)
    }

    pub fn forget_before(&self, rev: i64) {
        self.store().oldest = rev;
    }

    pub fn seen(&self, verb: Verb) -> Vec<Request> {
        let is_it = |request: &&Request| request.verb == Some(verb as i32);
        self.store().seen.iter().filter(is_it).cloned().collect()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, path: &str, value: &[u8], flags: i32) -> i64 {
        let mut store = self.store();
        let rev = store.changes.len() as i64 + 1;
        match flags {
            FLAG_SET => drop(store.files.insert(path.to_owned(), (rev, value.to_vec()))),
            FLAG_DEL => drop(store.files.remove(path)),
            _ => {}
        }
        let (path, value) = (path.to_owned(), value.to_vec());
        let change = Change {
            rev,
            path,
            value,
            flags,
        };
        store.changes.push(change);
        drop(store);
        self.rev.send_replace(rev);
        rev
    }
}

/// A running server. It ends, with all its connections, when it is dropped.
pub struct Server {
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(cluster: &Arc<Cluster>, mood: Mood) -> Server {
        let (stop, stopped) = oneshot::channel();
        let (ready, addr) = mpsc::channel();
        let cluster = cluster.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, cluster, mood) => {}
                    _ = stopped => {}
                }
            });
        });
        Server {
            addr: addr.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn uri(&self) -> String {
        format!("doozer:?ca={}", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, cluster: Arc<Cluster>, mood: Mood) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, cluster.clone(), mood.clone()));
    }
}

async fn serve(stream: TcpStream, cluster: Arc<Cluster>, mood: Mood) {
    let (mut reader, mut writer) = stream.into_split();
    let (answers, mut queue) = tokio::sync::mpsc::unbounded_channel::<Response>();
    tokio::spawn(async move {
        while let Some(answer) = queue.recv().await {
            let mut buffer = BytesMut::new();
            encode_frame(&answer, &mut buffer);
            if writer.write_all(&buffer).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = BytesMut::new();
    let mut count = 0;
    let mut waits = tokio::task::JoinSet::new();
    let mut may = !matches!(mood, Mood::Secret(_));
    let open = Arc::new(AtomicUsize::new(0));
    while reader
        .read_buf(&mut buffer)
        .await
        .is_ok_and(|read| read > 0)
    {
        while let Some(request) = decode_frame::<Request>(&mut buffer, 1 << 24).unwrap() {
            cluster.store().seen.push(request.clone());
            count += 1;
            let verb = request.verb.and_then(Verb::from_number).unwrap();
            match &mood {
                Mood::Mute => continue,
                Mood::DropsAt(limit) if count >= *limit => return,
                Mood::DropsAfter(dropped) if *dropped == verb => {
                    answer(&cluster, &request, verb);
                    return;
                }
                Mood::Standby if matches!(verb, Verb::Set | Verb::Del | Verb::Nop) => {
                    let _ = answers.send(Response::refuse(request.tag, ErrorCode::Readonly));
                    continue;
                }
                Mood::Behind if verb.is_write() => {
                    answer(&cluster, &request, verb);
                    let text = detail::OUTCOME_UNKNOWN;
                    let _ = answers.send(Response::refuse_with(request.tag, text));
                    continue;
                }
                Mood::Takes(most) if open.load(Ordering::SeqCst) >= *most => {
                    let text = format!("{}: {most} is the limit", detail::CONNECTION_FULL);
                    let _ = answers.send(Response::refuse_with(request.tag, text));
                    continue;
                }
                Mood::Takes(_) if verb != Verb::Wait => {
                    // It takes its time.
                    let (cluster, answers, open) = (cluster.clone(), answers.clone(), open.clone());
                    open.fetch_add(1, Ordering::SeqCst);
                    waits.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        open.fetch_sub(1, Ordering::SeqCst);
                        let _ = answers.send(answer(&cluster, &request, verb));
                    });
                    continue;
                }
                Mood::Secret(secret) if verb == Verb::Access => {
                    may |= request.value.as_deref() == Some(secret.as_bytes());
                    let denied = Response::refuse_with(request.tag, "permission denied");
                    let _ = answers.send(if may {
                        Response::to(request.tag)
                    } else {
                        denied
                    });
                    continue;
                }
                _ if !may && verb != Verb::Rev => {
                    let _ = answers.send(Response::refuse_with(request.tag, "permission denied"));
                    continue;
                }
                _ => {}
            }
            if verb != Verb::Wait {
                let _ = answers.send(answer(&cluster, &request, verb));
                continue;
            }
            let (cluster, answers) = (cluster.clone(), answers.clone());
            waits.spawn(async move {
                let mut rev = cluster.rev.subscribe();
                loop {
                    if let Some(event) = event(&cluster, &request) {
                        let _ = answers.send(event);
                        return;
                    }
                    rev.changed().await.unwrap();
                }
            });
        }
    }
}

fn path_of(request: &Request) -> String {
    String::from_utf8(request.path.clone().unwrap_or_default().into()).unwrap()
}

fn event(cluster: &Cluster, request: &Request) -> Option<Response> {
    let store = cluster.store();
    let pattern = path_of(request);
    let from = request.rev.unwrap_or(0).max(1);
    if pattern.contains('_') {
        let detail = format!("invalid glob pattern: {pattern}");
        return Some(Response::refuse_with(request.tag, detail));
    }
    if from < store.oldest {
        return Some(Response::refuse(request.tag, ErrorCode::TooLate));
    }
    let found = store
        .changes
        .iter()
        .find(|change| change.rev >= from && matches(pattern.as_bytes(), change.path.as_bytes()))?;
    Some(Response {
        rev: Some(found.rev),
        path: Some(found.path.clone().into()),
        value: Some(found.value.clone().into()),
        flags: Some(found.flags),
        ..Response::to(request.tag)
    })
}

fn answer(cluster: &Cluster, request: &Request, verb: Verb) -> Response {
    let path = path_of(request);
    let refuse = |code| Response::refuse(request.tag, code);
    let base = Response::to(request.tag);
    let writes = matches!(verb, Verb::Set | Verb::Del);
    let _one_at_a_time = writes.then(|| cluster.writing.lock());
    let store = cluster.store();
    let current = store.changes.len() as i64;
    let below = format!("{}/", path.trim_end_matches('/'));
    let names = || {
        let mut names: Vec<String> = store
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(&below))
            .map(|rest| rest.split('/').next().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let offset = request.offset.unwrap_or(0) as usize;
    if request.rev.is_some_and(|rev| rev < store.oldest)
        && matches!(verb, Verb::Get | Verb::Stat | Verb::Walk | Verb::Getdir)
    {
        return refuse(ErrorCode::TooLate);
    }
    let file = store.files.get(&path).cloned();
    match verb {
        Verb::Get if file.is_none() && !names().is_empty() => refuse(ErrorCode::Isdir),
        Verb::Get => {
            let (rev, value) = file.unwrap_or_default();
            Response {
                rev: Some(rev),
                value: Some(value.into()),
                ..base
            }
        }
        Verb::Stat => {
            let (rev, len) = match file {
                Some((rev, value)) => (rev, value.len()),
                None if names().is_empty() && path != "/" => (0, 0),
                None => (REV_DIR, names().len()),
            };
            Response {
                rev: Some(rev),
                len: Some(len as i32),
                ..base
            }
        }
        Verb::Rev => Response {
            rev: Some(current),
            ..base
        },
        Verb::Self_ => Response {
            value: Some("AAAAAAAAAAAAAAAA".into()),
            ..base
        },
        Verb::Access => base,
        Verb::Status => refuse(ErrorCode::UnknownVerb),
        Verb::Recover => refuse(ErrorCode::UnknownVerb),
        Verb::Getdir => match names().get(offset) {
            _ if file.is_some() => refuse(ErrorCode::Notdir),
            None if names().is_empty() => refuse(ErrorCode::Noent),
            None => refuse(ErrorCode::Range),
            Some(name) => Response {
                path: Some(name.clone().into()),
                ..base
            },
        },
        Verb::Walk => {
            let is_match = |file: &&String| matches(path.as_bytes(), file.as_bytes());
            let mut found: Vec<&String> = store.files.keys().filter(is_match).collect();
            found.sort_by_key(|path| path.split('/').collect::<Vec<_>>());
            match found.get(offset) {
                None => refuse(ErrorCode::Range),
                Some(path) => {
                    let (rev, value) = store.files[*path].clone();
                    Response {
                        path: Some((*path).clone().into()),
                        rev: Some(rev),
                        value: Some(value.into()),
                        flags: Some(FLAG_SET),
                        ..base
                    }
                }
            }
        }
        Verb::Nop => {
            drop(store);
            cluster.apply("/", b"", 0);
            base
        }
        Verb::Set | Verb::Del => {
            let wanted = request.rev.unwrap();
            let is_dir = file.is_none() && !names().is_empty();
            let rev = file.map_or(0, |file| file.0);
            let parent_is_file = path
                .match_indices('/')
                .any(|(end, _)| store.files.contains_key(&path[..end]));
            drop(store);
            if path.contains('_') {
                return refuse(ErrorCode::BadPath);
            }
            let refusal = if parent_is_file {
                Some((ErrorCode::Notdir, "not a directory"))
            } else if is_dir {
                Some((ErrorCode::Isdir, "is a directory"))
            } else if wanted != -1 && wanted < rev {
                Some((ErrorCode::RevMismatch, "rev mismatch"))
            } else {
                None
            };
            if let Some((code, text)) = refusal {
                cluster.put("/ctl/err", text);
                return refuse(code);
            }
            if verb == Verb::Del {
                cluster.apply(&path, b"", FLAG_DEL);
                return base;
            }
            let value = request.value.clone().unwrap_or_default();
            Response {
                rev: Some(cluster.apply(&path, &value, FLAG_SET)),
                ..base
            }
        }
        Verb::Files | Verb::Restore => refuse(ErrorCode::UnknownVerb),
        Verb::Wait => unreachable!("parked by the caller"),
    }
}

/// Whether a pattern matches a path.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([b'*', b'*', rest @ ..], _) => (0..=path.len()).any(|skip| matches(rest, &path[skip..])),
        ([b'*', rest @ ..], _) => {
            let name = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
            (0..=name).any(|skip| matches(rest, &path[skip..]))
        }
        ([b'?', pattern @ ..], [b, path @ ..]) if *b != b'/' => matches(pattern, path),
        ([a, pattern @ ..], [b, path @ ..]) if a == b => matches(pattern, path),
        _ => false,
    }
}
