//! A disk keeps what was synced, and loses of the rest what it likes.

use std::time::Duration;

use super::device::{Device, Lane};
use super::volume::{Op, SECTOR, Volume};
use crate::core::durable::Disk;
use crate::core::env::Time;
use crate::sim::chance::{Chance, Dice, What};

fn dice(seed: u64) -> Dice {
    Chance::new(seed).dice(What::Disk, 0)
}

fn write(offset: usize, bytes: &[u8]) -> Op {
    Op::Write {
        file: 1,
        offset: offset as u64,
        bytes: bytes.to_vec(),
    }
}

/// A file of two sectors, durable, and then written over from within the first one on.
fn written() -> Volume {
    let mut volume = Volume::default();
    let path = "a".to_owned();
    volume.apply(Op::Create { path, file: 1 });
    volume.apply(write(0, &[1; 2 * SECTOR]));
    volume.apply(Op::Sync { file: 1 });
    let path = String::new();
    volume.apply(Op::SyncDirectory { path });
    volume.apply(write(SECTOR / 2, &[2; 2 * SECTOR]));
    volume
}

#[test]
fn each_sector_that_was_not_synced_is_old_or_new() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut volume = written();
        let new = volume.read(1).to_vec();
        volume.lose_power(&mut dice(seed));
        let left = volume.read(1).to_vec();
        assert!([2 * SECTOR, new.len()].contains(&left.len()));
        let mut which = vec![left.len() == new.len()];
        for (nth, sector) in left.chunks(SECTOR).enumerate() {
            let at = nth * SECTOR;
            let is_new = *sector == new[at..at + sector.len()];
            let old = if nth < 2 { 1 } else { 0 };
            assert!(is_new || sector.iter().all(|byte| *byte == old));
            which.push(is_new);
        }
        seen.insert(which);
    }
    assert!(seen.len() >= 8, "{seen:?}");
}

#[test]
fn what_was_synced_stays() {
    for seed in 0..50 {
        let mut volume = written();
        volume.apply(Op::Sync { file: 1 });
        let synced = volume.read(1).to_vec();
        volume.lose_power(&mut dice(seed));
        assert_eq!(volume.read(1), synced);
    }
}

#[test]
fn after_a_failed_sync_only_what_is_written_again_becomes_durable() {
    let mut volume = written();
    volume.apply(Op::FailSync { file: 1 });
    let written = volume.read(1).to_vec();
    volume.apply(Op::Sync { file: 1 });
    assert_eq!(volume.worst().read(1), [1; 2 * SECTOR]);
    volume.apply(write(SECTOR / 2, &written[SECTOR / 2..]));
    volume.apply(Op::Sync { file: 1 });
    assert_eq!(volume.worst().read(1), written);
    assert!(!volume.is_unsynced());
}

#[test]
fn names_that_were_not_synced_may_be_lost_one_by_one() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut volume = written();
        let (from, to) = ("a".to_owned(), "b".to_owned());
        volume.apply(Op::Rename { from, to });
        let path = "c".to_owned();
        volume.apply(Op::Create { path, file: 2 });
        volume.lose_power(&mut dice(seed));
        seen.insert(volume.names().keys().cloned().collect::<String>());
    }
    let all = ["a", "ac", "b", "bc"];
    assert!(seen.iter().eq(all.iter()), "{seen:?}");
}

#[test]
fn who_dies_has_done_what_was_done_by_then() {
    let device = Device::new(Duration::from_millis(1), dice(1));
    let disk = device.handle(Lane::Log, Time(0));
    let mut file = disk.create("a").unwrap();
    disk.write(&mut file, 0, b"one").unwrap();
    disk.sync(&mut file).unwrap();
    let synced = device.free_at(Lane::Log);
    disk.write(&mut file, 3, b"two").unwrap();
    disk.rename("a", "b").unwrap();
    assert_eq!(disk.list("").unwrap(), ["b"]);
    assert_eq!(disk.read("b").unwrap(), b"onetwo");
    device.stop(synced);
    let disk = device.handle(Lane::Log, synced);
    assert_eq!(disk.list("").unwrap(), ["a"]);
    assert_eq!(disk.read("a").unwrap(), b"one");
}

#[test]
fn a_disk_can_be_full_and_can_fail() {
    let device = Device::new(Duration::from_millis(1), dice(1));
    let disk = device.handle(Lane::Log, Time(0));
    let mut file = disk.create("a").unwrap();
    device.fill_until(Time(1_000_000));
    let error = disk.write(&mut file, 0, b"one").unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
    device.mend();
    device.fail_after(1);
    file = disk.create("b").unwrap();
    assert!(disk.write(&mut file, 0, b"one").is_err());
    assert!(disk.sync(&mut file).is_ok());
    assert!(device.take_failed());
    assert!(!device.take_failed());
    device.fail_after(1);
    assert!(disk.list("").is_ok());
    let error = disk.read("b").unwrap_err();
    assert!(!error.is_missing() && device.take_failed(), "{error}");
    assert!(disk.read("b").is_ok());
}
