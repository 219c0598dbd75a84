//! What is read is what was written, or is refused with the line.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::contents::{Change, Contents, Op};
use super::dump::{Origin, encode_dump, read_dump};
use super::line::{self, Damage, DamageKind};
use super::log::{Batch, LogHead, read_log};
use super::plan::{Order, Plan, REV_STRIDE};
use crate::client::{self, Event};
use crate::core::id::Rev;
use crate::core::log::{RESTORE_BYTES, RESTORED_FILE_BYTES};
use crate::core::protocol::client::Step;
use crate::core::store::Path;

fn path(text: &str) -> Path {
    Path::parse(text.as_bytes()).unwrap()
}

fn origin() -> Origin {
    Origin {
        cluster: "local".into(),
        lineage: "generation 1, founded by X".into(),
        generation: 1,
    }
}

fn some_path() -> impl Strategy<Value = Path> {
    "(/[a-c.-]{1,3}){1,3}".prop_map(|text| path(&text))
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..60).prop_map(Bytes::from),
        any::<String>().prop_map(Bytes::from),
    ]
}

fn contents() -> impl Strategy<Value = Contents> {
    let file = (1..=912_u64, value()).prop_map(|(rev, value)| (Rev(rev), value));
    btree_map(some_path(), file, 0..12).prop_map(|files| Contents {
        rev: Rev(912),
        files,
    })
}

fn event(rev: u64) -> impl Strategy<Value = Event> {
    let change = prop_oneof![
        3 => value().prop_map(client::Change::Set),
        1 => Just(client::Change::Del),
        1 => Just(client::Change::Nop),
    ];
    (some_path(), change).prop_map(move |(path, change)| Event {
        path: match change {
            client::Change::Nop => "/".to_owned(),
            _ => path.to_string(),
        },
        rev: Rev(rev),
        change,
    })
}

fn events(first: u64) -> impl Strategy<Value = Vec<Event>> {
    (0..20_u64).prop_flat_map(move |count| (first..first + count).map(event).collect::<Vec<_>>())
}

/// A log of these events, so many in a line, and where each line ends.
fn log(events: &[Event], in_line: usize) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    line::put(&mut bytes, 1, &LogHead::new(&origin(), Rev(912)));
    let mut ends = vec![bytes.len()];
    for (index, events) in events.chunks(in_line).enumerate() {
        let batch = Batch {
            time: 7,
            changes: events.iter().map(Change::from).collect(),
        };
        line::put(&mut bytes, index as u64 + 2, &batch);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn changes(bytes: &[u8], may_be_torn: bool) -> Result<Vec<Change>, Damage> {
    let log = read_log(bytes, may_be_torn)?;
    if let Some(damage) = log.damage {
        return Err(damage);
    }
    Ok(log
        .batches
        .into_iter()
        .flat_map(|(_, batch)| batch.changes)
        .collect())
}

proptest! {
    #[test]
    fn a_dump_is_read_as_it_was_written(contents in contents()) {
        let dump = encode_dump(&origin(), &contents, 99);
        prop_assert_eq!(read_dump(&dump), Ok((origin(), contents)));
    }

    #[test]
    fn a_dump_with_one_wrong_bit_is_refused_with_its_line(
        contents in contents(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut dump = encode_dump(&origin(), &contents, 99);
        let at = at.index(dump.len());
        dump[at] ^= 1_u8 << bit;
        let line = 1 + dump[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        let damage = read_dump(&dump).expect_err("it is not what was written");
        // The end of a line that is none is found on the line, or in the one behind it.
        prop_assert!((line..=line + 1).contains(&damage.line), "{damage:?} at line {line}");
    }

    #[test]
    fn a_dump_that_is_cut_off_is_refused(
        contents in contents(),
        at in any::<prop::sample::Index>(),
    ) {
        let dump = encode_dump(&origin(), &contents, 99);
        let cut = &dump[..at.index(dump.len())];
        prop_assert!(read_dump(cut).is_err());
    }

    #[test]
    fn lines_that_are_missing_or_in_another_place_are_noticed(
        contents in contents(),
        a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(),
    ) {
        let dump = encode_dump(&origin(), &contents, 99);
        let lines: Vec<&[u8]> = dump.split_inclusive(|byte| *byte == b'\n').collect();
        let (a, b) = (a.index(lines.len()), b.index(lines.len()));
        let mut without = lines.clone();
        without.remove(a);
        prop_assert!(read_dump(&without.concat()).is_err());
        let mut twice = lines.clone();
        twice.insert(a, lines[a]);
        prop_assert!(read_dump(&twice.concat()).is_err());
        if a != b {
            let mut swapped = lines.clone();
            swapped.swap(a, b);
            prop_assert!(read_dump(&swapped.concat()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = read_dump(&bytes);
        let _ = read_log(&bytes, true);
        let behind = [encode_dump(&origin(), &Contents::default(), 0), bytes.clone()].concat();
        prop_assert_eq!(read_dump(&behind).is_ok(), bytes.is_empty());
    }

    #[test]
    fn a_log_gives_the_events_back(events in events(913), in_line in 1..5_usize) {
        let (bytes, _) = log(&events, in_line);
        let expected: Vec<Change> = events.iter().map(Change::from).collect();
        prop_assert_eq!(changes(&bytes, false), Ok(expected.clone()));
        let mut contents = Contents { rev: Rev(912), ..Contents::default() };
        for change in expected {
            contents.apply(change).unwrap();
        }
        prop_assert_eq!(contents.rev, Rev(912 + events.len() as u64));
        for (path, (rev, value)) in &contents.files {
            let event = &events[(rev.0 - 913) as usize];
            prop_assert_eq!(&event.path, path.as_str());
            prop_assert_eq!(&event.change, &client::Change::Set(value.clone()));
        }
    }

    /// A crash leaves any of the bytes of the last line, and makes of the others what it likes.
    #[test]
    fn a_torn_end_of_a_log_is_left_out(
        events in events(913),
        in_line in 1..5_usize,
        at in any::<prop::sample::Index>(),
        garbage in vec(any::<u8>(), 0..40),
    ) {
        let (bytes, ends) = log(&events, in_line);
        let Some([before, last]) = ends.last_chunk() else { return Ok(()) };
        let cut = before + at.index(last - before);
        let mut torn = [&bytes[..cut], &garbage].concat();
        if torn.len() >= *last && torn[..*last] == bytes[..*last] {
            torn.truncate(last - 1);
        }
        let read = read_log(&torn, true).unwrap();
        prop_assert_eq!(read.end, *before as u64);
        prop_assert_eq!(read.next_line(), ends.len() as u64);
        let expected = (ends.len() - 2) * in_line;
        prop_assert_eq!(changes(&torn, true).unwrap().len(), expected);
        prop_assert!(torn.len() == *before || changes(&torn, false).is_err());
    }

    #[test]
    fn damage_before_a_whole_line_of_a_log_is_refused(
        events in events(913),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut bytes, ends) = log(&events, 1);
        let Some([before, _]) = ends.last_chunk() else { return Ok(()) };
        let at = at.index(*before);
        bytes[at] ^= 1_u8 << bit;
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        let damage = changes(&bytes, true).expect_err("it is not what was written");
        prop_assert_eq!(damage.line, line);
    }

    #[test]
    fn a_line_whose_end_is_damaged_hides_no_whole_one(events in events(913), bit in 0..8_u8) {
        let (mut bytes, ends) = log(&events, 1);
        let Some([before, _]) = ends.last_chunk() else { return Ok(()) };
        bytes[before - 1] ^= 1_u8 << bit;
        let damage = changes(&bytes, true).expect_err("it is not what was written");
        prop_assert_eq!(damage.line, ends.len() as u64 - 1);
    }

    #[test]
    fn a_plan_has_every_file_once_in_steps_that_servers_take(contents in contents()) {
        let order = Order {
            id: 7,
            source: "local",
            target: "local",
            rev: Rev(9),
            replace: false,
            new_revs: false,
        };
        let plan = Plan::new(&contents, order);
        let mut files = Vec::new();
        for (number, step) in plan.steps[1..plan.steps.len() - 1].iter().enumerate() {
            let Some(Step::Part(part)) = &step.step else { panic!("{step:?}") };
            prop_assert_eq!(part.step, number as u64);
            files.extend(part.files.iter().map(|file| (path(std::str::from_utf8(&file.path).unwrap()), (Rev(file.rev), file.value.clone()))));
        }
        prop_assert_eq!(files, contents.files.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_lines_of_a_dump_are_pinned() {
    let mut contents = Contents {
        rev: Rev(912),
        ..Contents::default()
    };
    contents
        .files
        .insert(path("/a"), (Rev(57), "hello\n".into()));
    contents
        .files
        .insert(path("/b"), (Rev(58), b"\xff\x00"[..].into()));
    let dump = encode_dump(&origin(), &contents, 1_767_225_600);
    let text = String::from_utf8(dump).unwrap();
    let expected = [
        r#"{"doozer":"dump","format":1,"cluster":"local","lineage":"generation 1, founded by X","generation":1,"rev":912,"time":1767225600,"sum":""#,
        r#"{"path":"/a","rev":57,"value":"hello\n","sum":""#,
        r#"{"path":"/b","rev":58,"value_base64":"/wA=","sum":""#,
        r#"{"files":2,"sum":""#,
    ];
    assert_eq!(text.lines().count(), expected.len());
    for (line, expected) in text.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(line.len(), expected.len() + 18);
    }
    assert!(text.ends_with("\"}\n"));
}

#[test]
fn a_newer_or_foreign_file_is_told_from_a_damaged_one() {
    let kind = |text: &str| read_dump(text.as_bytes()).expect_err("it is no dump").kind;
    let newer = r#"{"doozer":"dump","format":2,"whatever":[1]}"#;
    assert_eq!(kind(newer), DamageKind::Newer { format: 2 });
    for foreign in [
        "",
        "hello",
        "{}",
        "[1]",
        r#"{"doozer":"journal","format":1}"#,
    ] {
        assert_eq!(kind(foreign), DamageKind::Foreign, "{foreign}");
    }
    assert_eq!(kind(r#"{"doozer":"dump","format":1}"#), DamageKind::Sum);
    let dump = encode_dump(&origin(), &Contents::default(), 0);
    assert_eq!(read_dump(&dump[..20]).unwrap_err().kind, DamageKind::Sum);
}

#[test]
fn a_plan_is_cut_into_steps_and_leads_above_all_that_may_have_been() {
    let mut contents = Contents {
        rev: Rev(912),
        ..Contents::default()
    };
    for n in 0..10_000 {
        let value = Bytes::from(vec![b'x'; 100]);
        contents
            .files
            .insert(path(&format!("/f/{n}")), (Rev(n + 1), value));
    }
    contents
        .files
        .insert(path("/large"), (Rev(5), vec![0; 1 << 20].into()));
    for own in [
        "/ctl/cal/0",
        "/ctl/name",
        "/ctl/ns/old/X",
        "/ctl/ns/new/X",
        "/ctl/node/X/addr",
    ] {
        contents.files.insert(path(own), (Rev(1), Bytes::new()));
    }
    contents
        .files
        .insert(path("/ctl/ns/third/X"), (Rev(6), Bytes::new()));
    let plan = |rev, new_revs| {
        let order = Order {
            id: 7,
            source: "old",
            target: "new",
            rev: Rev(rev),
            replace: new_revs,
            new_revs,
        };
        Plan::new(&contents, order)
    };
    let kept = plan(9, false);
    assert_eq!((kept.files, kept.skipped), (10_002, 5));
    assert_eq!(kept.rev, Rev(REV_STRIDE));
    for step in &kept.steps {
        if let Some(Step::Part(part)) = &step.step {
            let cost = |file: &crate::core::protocol::client::FileAt| {
                file.path.len() + file.value.len() + RESTORED_FILE_BYTES
            };
            let bytes: usize = part.files.iter().map(cost).sum();
            assert!(bytes <= RESTORE_BYTES || part.files.len() == 1);
        }
    }
    assert!(kept.steps.len() < 12, "{}", kept.steps.len());
    let Some(Step::Begin(begin)) = &kept.steps[0].step else {
        panic!()
    };
    assert_eq!((begin.kept, begin.replace), (912, false));
    // The second time, and where the cluster is ahead of the backup.
    let new = plan(REV_STRIDE, true);
    assert_eq!(new.rev, Rev(2 * REV_STRIDE));
    assert_eq!(plan(REV_STRIDE * 6 / 10, true).rev, Rev(2 * REV_STRIDE));
    let Some(Step::Begin(begin)) = &new.steps[0].step else {
        panic!()
    };
    assert_eq!((begin.kept, begin.replace), (0, true));
}

#[test]
fn a_change_that_does_not_follow_is_refused() {
    let mut contents = Contents {
        rev: Rev(5),
        ..Contents::default()
    };
    let change = |rev, op, path: Option<&str>| Change {
        rev,
        op,
        path: path.map(str::to_owned),
        content: Default::default(),
    };
    for wrong in [
        change(5, Op::Nop, None),
        change(7, Op::Nop, None),
        change(6, Op::Nop, Some("/a")),
        change(6, Op::Del, None),
        change(6, Op::Del, Some("a")),
        change(6, Op::Set, Some("/a")),
    ] {
        assert!(contents.apply(wrong.clone()).is_err(), "{wrong:?}");
    }
    assert_eq!(contents.rev, Rev(5));
    contents.apply(change(6, Op::Nop, None)).unwrap();
}
