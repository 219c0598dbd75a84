//! Pictures of clusters, put together from what their processes could say.

use super::*;
use crate::core::protocol::client::{Known, Seat};

fn id(n: usize) -> String {
    format!("{n}").repeat(16)
}

fn addr(n: usize) -> String {
    format!("10.0.0.{n}:8046")
}

/// What process `me` of a cluster of `members` and one standby more says, which hears `heard`.
fn report(me: usize, members: usize, heard: &[usize]) -> Report {
    let known = (1..=members + 1).map(|n| Known {
        id: id(n),
        addr: addr(n),
        hostname: format!("host-{n}"),
        version: "1".into(),
        heard: heard.contains(&n),
        silence_ms: Some(if heard.contains(&n) { 20 } else { 12_000 }),
        applied: 100,
        round_trip_us: None,
    });
    let seats = (1..=members).map(|n| Seat {
        name: (n - 1).to_string(),
        holder: id(n),
    });
    Report {
        id: id(me),
        cluster: "local".into(),
        version: "1".into(),
        uptime_ms: 5_000,
        applied: 100,
        seen: 100,
        rev: 50,
        voters: (1..=members).map(id).collect(),
        owners: vec![id(1), id(2)],
        timeout_ms: 60_000,
        seats: seats.collect(),
        known: known.collect(),
        leaving: false,
        voters_before: Vec::new(),
        durable: false,
        web: format!("10.0.0.{me}:8000"),
        oldest: 1,
        lineage: String::new(),
        generation: 1,
        disk: None,
    }
}

fn says(n: usize, report: Report) -> Answer {
    Answer {
        addr: addr(n),
        said: Ok(report),
    }
}

fn silent(n: usize, is_gone: bool) -> Answer {
    let reason = match is_gone {
        true => "connection refused",
        false => "no answer within 2s",
    };
    Answer {
        addr: addr(n),
        said: Err(NoAnswer {
            reason: reason.into(),
            is_gone,
        }),
    }
}

fn states(status: &Status) -> Vec<State> {
    status.processes.iter().map(|one| one.state).collect()
}

#[test]
fn a_healthy_cluster_is_told_in_a_line() {
    let all = [1, 2, 3, 4];
    let answers: Vec<Answer> = all.map(|n| says(n, report(n, 3, &all))).into();
    let status = Status::of(&answers, 100).expect("they answered");
    assert_eq!(
        (status.health, status.summary.as_str()),
        (
            Health::Healthy,
            "healthy: 3 members up, 1 standby; 1 of them may fail"
        )
    );
    assert_eq!((status.may_fail, status.problems.len()), (1, 0));
    assert_eq!(states(&status), [State::Up; 4]);
    let slots: Vec<Option<&str>> = status.processes.iter().map(|p| p.slot.as_deref()).collect();
    assert_eq!(slots, [Some("0"), Some("1"), Some("2"), None]);
    assert_eq!(status.standbys().count(), 1);
    let owners: Vec<bool> = status.processes.iter().map(|one| one.owner).collect();
    assert_eq!(owners, [true, true, false, false]);
}

#[test]
fn what_is_wrong_with_each_process_is_said() {
    let heard = [1, 3, 4];
    let answers = [
        says(1, report(1, 3, &heard)),
        silent(2, true),
        silent(3, false),
        says(4, report(4, 3, &heard)),
    ];
    let status = Status::of(&answers, 100).expect("two answered");
    assert_eq!(
        states(&status),
        [State::Up, State::Gone, State::Unreached, State::Up]
    );
    assert_eq!((status.health, status.may_fail), (Health::Degraded, 0));
    assert_eq!(
        status.problems,
        [
            "slot 1, 10.0.0.2:8046 has ended: connection refused; last heard 12s ago; put out \
             after 1m",
            "slot 2, 10.0.0.3:8046 cannot be reached from here: no answer within 2s; others hear it",
        ]
    );
    assert_eq!(status.processes[1].heard_ms, Some(12_000));
    assert_eq!(status.processes[1].rev, None);
}

#[test]
fn silent_members_may_come_back_and_ended_ones_do_not() {
    let waits = [
        says(1, report(1, 3, &[1])),
        silent(2, true),
        silent(3, false),
    ];
    let status = Status::of(&waits, 100).expect("one answered");
    assert_eq!(status.health, Health::NoMajority);
    assert!(
        status.summary.starts_with("NO MAJORITY: 2 of 3"),
        "{}",
        status.summary
    );
    let lost = [
        says(1, report(1, 3, &[1])),
        silent(2, true),
        silent(3, true),
    ];
    let status = Status::of(&lost, 100).expect("one answered");
    assert_eq!(status.health, Health::Lost);
    assert!(
        status.summary.contains("FOR GOOD: 2 of 3"),
        "{}",
        status.summary
    );
    assert_eq!(
        states(&status)[..3],
        [State::CutOff, State::Gone, State::Gone]
    );
}

#[test]
fn ended_members_with_data_directories_may_come_back() {
    let survivor = Report {
        durable: true,
        ..report(1, 3, &[1])
    };
    let answers = [says(1, survivor), silent(2, true), silent(3, true)];
    let status = Status::of(&answers, 100).expect("one answered");
    assert_eq!(status.health, Health::NoMajority);
    let advice = status.problems.last().expect("somebody has to act");
    let [restart, recover] = ["start them again", "recover"].map(|word| advice.find(word));
    assert!(restart.is_some() && restart < recover, "{advice}");
}

#[test]
fn an_address_that_another_process_has_means_that_the_first_one_has_ended() {
    let heard = [1, 2, 4];
    let mut new = report(4, 3, &heard);
    new.known[3].addr = addr(3);
    let mut old = report(1, 3, &heard);
    old.known[3].addr = addr(3);
    let answers = [
        says(1, old.clone()),
        says(2, Report { id: id(2), ..old }),
        says(3, new),
    ];
    let status = Status::of(&answers, 100).expect("they answered");
    assert_eq!(
        states(&status),
        [State::Up, State::Up, State::Gone, State::Up]
    );
    let note = status.processes[2].note.clone().unwrap_or_default();
    assert!(note.contains(&id(4)), "{note}");
}

#[test]
fn the_picture_is_that_of_whoever_is_furthest() {
    let mut cut_off = report(1, 3, &[1]);
    cut_off.applied = 40;
    cut_off.seen = 40;
    let mut ahead = report(2, 3, &[2, 3, 4]);
    ahead.seats[0].holder = String::new();
    ahead.voters.remove(0);
    let answers = [
        says(1, cut_off),
        says(2, ahead.clone()),
        says(3, Report { id: id(3), ..ahead }),
    ];
    let status = Status::of(&answers, 100).expect("they answered");
    assert_eq!(status.vacancies, ["0"]);
    let first = status.processes.iter().find(|one| one.id == id(1));
    let first = first.expect("it is registered");
    assert_eq!((first.role, first.state), (Role::Standby, State::CutOff));
    assert_eq!(first.lag, 60);
    assert!(
        status
            .problems
            .iter()
            .any(|text| text.contains("about to be taken"))
    );
}

#[test]
fn a_change_is_in_force_when_every_member_that_takes_part_has_come_to_it() {
    let all = [1, 2, 3, 4];
    let mut ahead = report(1, 3, &all);
    ahead.voters.remove(2);
    ahead.applied += 1;
    let behind = report(2, 3, &all);
    let now = |behind: &Report| {
        let answers = [says(1, ahead.clone()), says(2, behind.clone())];
        Status::of(&answers, 0).expect("they answered").changing
    };
    assert!(now(&behind));
    let mut there = Report {
        voters: ahead.voters.clone(),
        voters_before: behind.voters.clone(),
        ..behind
    };
    assert!(now(&there));
    there.voters_before.clear();
    assert!(!now(&there));
}

#[test]
fn a_change_that_cannot_come_into_force_is_told() {
    let mut left = report(1, 2, &[1, 3]);
    left.voters = vec![id(1)];
    left.seats.remove(1);
    left.voters_before = vec![id(1), id(2)];
    let status = Status::of(&[says(1, left), silent(2, true)], 0).expect("one answered");
    assert_eq!(status.health, Health::Lost);
    assert!(
        status.summary.contains("1 of 2 members has ended"),
        "{}",
        status.summary
    );
    let gone = status.processes.iter().find(|one| one.id == id(2));
    let gone = gone.map(|gone| (gone.role, gone.slot.clone(), gone.state));
    assert_eq!(gone, Some((Role::Member, None, State::Gone)));
}

#[test]
fn a_stranger_at_an_address_is_told_and_not_counted() {
    let mut stranger = report(1, 1, &[1]);
    stranger.id = "STRANGER".into();
    stranger.known = vec![Known {
        id: "STRANGER".into(),
        ..Known::default()
    }];
    stranger.applied = 1_000_000;
    let all = [1, 2];
    let answers = [says(1, report(1, 1, &all)), says(9, stranger)];
    let status = Status::of(&answers, 100).expect("they answered");
    assert_eq!(status.applied, 100);
    assert_eq!(status.processes.len(), 2);
    assert!(
        status.problems[0].contains("another cluster"),
        "{:?}",
        status.problems
    );
}

#[test]
fn one_process_alone_can_tell_how_it_sees_the_cluster() {
    let only = [says(1, report(1, 3, &[1, 2, 4]))];
    let status = Status::of(&only, 0).expect("it answered");
    assert_eq!(
        states(&status),
        [State::Up, State::Up, State::Silent, State::Up]
    );
    assert_eq!(status.health, Health::Degraded);
    assert_eq!(Status::of(&[silent(1, false)], 0), None);
}

#[test]
fn the_json_has_words_and_reads_back() {
    let only = [says(1, report(1, 3, &[1]))];
    let status = Status::of(&only, 0).expect("it answered");
    let json = serde_json::to_value(&status).expect("it can be written");
    assert_eq!(json["health"], "no-majority");
    assert_eq!(json["processes"][0]["state"], "cut-off");
    assert_eq!(json["processes"][3]["role"], "standby");
    let back: Status = serde_json::from_value(json).expect("it can be read");
    assert_eq!(back, status);
}

#[test]
fn spans_are_told_in_two_units() {
    let spans = [
        0, 999, 1_000, 59_999, 60_000, 61_000, 3_600_000, 5_400_000, 90_000_000,
    ];
    let told = spans.map(health::span);
    assert_eq!(
        told,
        [
            "0ms", "999ms", "1s", "59s", "1m", "1m1s", "1h", "1h30m", "1d1h"
        ]
    );
}
