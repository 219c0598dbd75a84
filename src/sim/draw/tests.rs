use serde_json::Value;

use super::{listen, page};
use crate::core::node::Node;
use crate::sim::check::Violation;
use crate::sim::fault::{Event, Fault, Moment};
use crate::sim::narration::{Happened, Place, Told};
use crate::sim::params::micros;
use crate::sim::run::run;
use crate::sim::setup::Setup;

/// A calm run of three in which this goes wrong.
fn setup(faults: Vec<Fault>) -> Setup {
    let mut setup = Setup::calm(1);
    setup.params.members = 3;
    setup.params.storm = micros(400_000);
    let events = faults.into_iter().map(|fault| Event {
        at_us: 50_000,
        fault,
    });
    setup.events = events.collect();
    setup
}

/// The page of a run, and what it holds.
fn draw(setup: &Setup, events: std::ops::RangeInclusive<u64>) -> (String, Value) {
    let (picture, narrator) = listen(events);
    run::<Node>(setup, (), Some(narrator));
    let html = page(&picture.borrow(), "</script>", "<b>");
    let (_, rest) = html.split_once("id=\"data\">").expect("there is data");
    let (data, _) = rest.split_once("</script>").expect("the data ends");
    let data: Value = serde_json::from_str(data).expect("the data is JSON");
    assert_eq!(data["run"], "</script>");
    (html, data["picture"].clone())
}

fn list<'a>(picture: &'a Value, name: &str) -> &'a [Value] {
    picture[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_page_needs_nothing_else() {
    let (html, _) = draw(&setup(Vec::new()), 0..=u64::MAX);
    for outside in [
        "http:", "https:", "src=", "<link", "@import", "url(", "fetch(", "import(",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(
        html.matches("</script>").count(),
        2,
        "the data ends where it ends"
    );
    for placeholder in ["/*STYLE*/", "/*DATA*/", "/*SCRIPT*/"] {
        assert!(!html.contains(placeholder), "{placeholder}");
    }
}

#[test]
fn what_lasts_is_shaded_and_what_is_lost_is_told() {
    let faults = vec![
        Fault::Cut {
            from: vec![0],
            to: vec![1],
            both_ways: false,
            span_us: 100_000,
        },
        Fault::Pause {
            host: 2,
            span_us: 30_000,
        },
    ];
    let (_, picture) = draw(&setup(faults), 0..=u64::MAX);
    let shades = list(&picture, "shades");
    let span = |what: &str| {
        let shade = shades.iter().find(|shade| shade["what"] == what);
        let shade = shade.unwrap_or_else(|| panic!("no {what}"));
        shade["until"].as_u64().expect("a time") - shade["from"].as_u64().expect("a time")
    };
    assert_eq!((span("cut"), span("pause")), (100_000, 30_000));
    let arrows = list(&picture, "arrows");
    let sends = list(&picture, "sends");
    let is_cut = |arrow: &&Value| arrow["lost"] == "the hosts are cut off";
    let mut from_0_to_1 = 0;
    for arrow in arrows.iter().filter(is_cut) {
        let send = &sends[arrow["send"].as_u64().expect("a place") as usize];
        let time = arrow["time"].as_u64();
        let explains = |shade: &&Value| {
            let lasts = shade["from"].as_u64() <= time && time <= shade["until"].as_u64();
            lasts && (&shade["of"], &shade["to"]) == (&send["node"], &arrow["node"])
        };
        assert!(shades.iter().any(|shade| explains(&shade)), "{arrow}");
        from_0_to_1 += usize::from((&send["node"], &arrow["node"]) == (&0.into(), &1.into()));
    }
    assert!(from_0_to_1 > 0);
    assert!(picture["violation"].is_null());
}

#[test]
fn those_who_follow_on_a_host_share_its_lane() {
    let faults = vec![Fault::Crash {
        host: 2,
        moment: Moment::Now,
        disk: crate::sim::disk::Fate::Gone,
        relapse: None,
        back_us: 10_000,
        back_host: None,
    }];
    let (_, picture) = draw(&setup(faults), 0..=u64::MAX);
    let nodes = list(&picture, "nodes");
    let of = |index: usize| {
        let node = &nodes[index];
        (
            node["name"].as_str(),
            node["lane"].as_u64(),
            node["to"].is_null(),
        )
    };
    assert_eq!(of(2), (Some("n2"), Some(2), false));
    assert_eq!(of(3), (Some("n2.1"), Some(2), true));
}

#[test]
fn a_part_keeps_what_lasts_into_it() {
    let faults = vec![Fault::Pause {
        host: 2,
        span_us: 300_000,
    }];
    let setup = setup(faults);
    let (_, all) = draw(&setup, 0..=u64::MAX);
    let numbers = |picture: &Value| -> Vec<u64> {
        let sends = list(picture, "sends").iter();
        sends
            .map(|send| send["number"].as_u64().expect("a number"))
            .collect()
    };
    let all_sends = numbers(&all);
    let from = all_sends[all_sends.len() - 5];
    let (_, part) = draw(&setup, from..=u64::MAX);
    assert_eq!(numbers(&part), all_sends[all_sends.len() - 5..]);
    assert_eq!(list(&part, "shades"), list(&all, "shades"));
    assert_eq!(list(&part, "nodes"), list(&all, "nodes"));
}

#[test]
fn a_broken_rule_is_in_the_picture() {
    let (picture, _) = listen(0..=u64::MAX);
    let violation = Violation::new("rules hold", "one does not");
    picture.borrow_mut().take(
        &Told {
            number: 7,
            time: crate::core::env::Time(70),
            place: Place::World,
            what: Happened::Violated(&violation),
            cast: crate::sim::narration::Cast {
                by_id: &std::collections::BTreeMap::new(),
                names: &[],
            },
        },
        false,
    );
    let html = page(&picture.borrow(), "", "");
    assert!(html.contains(r#"{"number":7,"text":"rules hold: one does not","time":70}"#));
}
