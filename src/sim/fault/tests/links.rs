use super::*;

const LINK: (usize, usize) = (0, 1);

#[test]
fn a_cut_swallows_messages_one_way_only_and_for_its_time() {
    let mut scene = Scene::new(3);
    scene.inflict(Fault::Cut {
        from: vec![0],
        to: vec![1, 2],
        both_ways: false,
        span_us: 10_000,
    });
    scene.run_us(1_000);
    scene.say(0, 1, 1);
    scene.say(1, 0, 2);
    scene.run_us(20_000);
    assert_eq!(scene.numbers(0), [2]);
    scene.say(0, 1, 3);
    scene.run_us(20_000);
    assert_eq!(scene.numbers(1), [3]);
}

#[test]
fn a_flapping_pair_loses_some_messages_and_not_others() {
    let mut scene = Scene::new(3);
    scene.inflict(Fault::Flap {
        one: 0,
        other: 1,
        times: 2,
        span_us: 10_000,
    });
    scene.run_us(5_000);
    for number in 0..4 {
        scene.say(0, 1, number);
        scene.say(0, 2, number);
        scene.run_us(10_000);
    }
    let log = scene.log.borrow().clone();
    assert_eq!(scene.numbers(1), [1, 3]);
    *scene.log.borrow_mut() = log;
    assert_eq!(scene.numbers(2), [0, 1, 2, 3]);
}

#[test]
fn clogged_messages_wait_and_then_all_come_in_order() {
    let mut scene = Scene::new(2);
    scene.say(0, 1, 0);
    scene.inflict(Fault::Clog {
        links: vec![LINK],
        span_us: 50_000,
    });
    scene.say(1, 0, 9);
    for number in 1..5 {
        scene.say(0, 1, number);
        scene.run_us(5_000);
    }
    assert_eq!(scene.numbers(0), [9]);
    scene.run_us(29_000);
    assert_eq!(scene.numbers(1), [] as [u64; 0]);
    scene.run_us(2_000);
    assert_eq!(scene.numbers(1), [0, 1, 2, 3, 4]);
}

#[test]
fn swizzled_hosts_are_clogged_one_by_one_and_freed_in_another_order() {
    let mut scene = Scene::new(4);
    scene.inflict(Fault::Swizzle {
        clog: vec![0, 1, 2],
        free: vec![2, 0, 1],
        step_us: 10_000,
    });
    let mut story = Vec::new();
    for _ in 0..7 {
        scene.run_us(1_000);
        let held = |host| scene.world.net.path(host, 3).held_until > scene.world.now;
        story.push([0, 1, 2].map(held));
        scene.run_us(9_000);
    }
    let (x, o) = (true, false);
    let expected = [
        [x, o, o],
        [x, x, o],
        [x, x, x],
        [x, x, o],
        [o, x, o],
        [o, o, o],
        [o, o, o],
    ];
    assert_eq!(story, expected);
}

#[test]
fn lag_delays_each_message_by_as_much_until_it_is_over() {
    let mut scene = Scene::new(2);
    scene.inflict(Fault::Lag {
        links: vec![LINK],
        extra_us: 30_000,
        span_us: 100_000,
    });
    scene.say(0, 1, 1);
    scene.run_us(DELAY_US + 29_000);
    assert_eq!(scene.numbers(1), [] as [u64; 0]);
    scene.run_us(2_000);
    assert_eq!(scene.numbers(1), [1]);
    scene.run_us(100_000);
    scene.say(0, 1, 2);
    scene.run_us(DELAY_US + 100);
    assert_eq!(scene.numbers(1), [2]);
}

/// Whether somebody was told the end of a connection since the log was emptied.
fn has_unlinked(scene: &Scene) -> bool {
    let log = scene.log.borrow();
    log.iter()
        .any(|(_, _, input)| matches!(input, Input::Unlinked { .. }))
}

#[test]
fn a_reset_delivers_what_is_on_its_way_and_an_abort_does_not() {
    for (fault, arrives) in [
        (Fault::Reset { links: vec![LINK] }, true),
        (Fault::Abort { links: vec![LINK] }, false),
    ] {
        let mut scene = Scene::new(2);
        scene.say(0, 1, 1);
        scene.inflict(fault);
        scene.say(0, 1, 2);
        scene.run_us(60_000);
        assert!(has_unlinked(&scene));
        let expected: &[u64] = if arrives { &[1] } else { &[] };
        assert_eq!(scene.numbers(1), expected);
        scene.run(SETTLING);
        assert!(scene.is_linked(0, 1), "it is made again");
        scene.forget();
        scene.say(0, 1, 3);
        scene.run_us(2 * DELAY_US);
        assert_eq!(scene.numbers(1), [3]);
    }
}

#[test]
fn half_open_connections_carry_nothing_and_tell_nobody_for_some_time() {
    let mut scene = Scene::new(2);
    scene.forget();
    scene.inflict(Fault::HalfOpen { links: vec![LINK] });
    scene.say(0, 1, 1);
    scene.run_us(400_000);
    assert!(scene.log.borrow().is_empty());
    scene.run_us(200_000);
    assert!(has_unlinked(&scene));
}

#[test]
fn a_torn_message_is_no_message_and_ends_its_connection() {
    for number in 0..20 {
        let mut scene = Scene::new(2);
        scene.inflict(Fault::Tear { links: vec![LINK] });
        for _ in 0..number {
            scene.say(1, 0, 9);
        }
        scene.say(0, 1, number << 40);
        scene.run_us(100_000);
        assert_eq!(scene.numbers(1), [] as [u64; 0]);
        assert_eq!(scene.world.stats.damaged, 1);
    }
}

#[test]
fn corrupted_messages_are_never_handed_in_and_end_their_connection() {
    let mut scene = Scene::new(2);
    let mut sent = 0;
    for number in 0..400 {
        if !scene.is_linked(0, 1) {
            scene.run_us(50_000);
            continue;
        }
        let bits = 1 + number as u32 % 32;
        scene.inflict(Fault::Corrupt {
            links: vec![LINK],
            bits,
        });
        scene.say(0, 1, number << 20 | 1);
        sent += 1;
        scene.run_us(2 * DELAY_US);
        assert_eq!(scene.numbers(1), [] as [u64; 0]);
        assert!(!scene.is_linked(0, 1));
    }
    let stats = &scene.world.stats;
    assert!(sent > 20);
    assert_eq!(stats.damaged, sent);
}

#[test]
fn connections_to_a_host_are_refused_or_hang_for_some_time() {
    for hangs in [false, true] {
        let mut scene = Scene::new(2);
        let (host, span_us) = (2, 1_000_000);
        scene.inflict(match hangs {
            false => Fault::Refuse { host, span_us },
            true => Fault::Hang { host, span_us },
        });
        scene.inflict(Fault::Start { host });
        scene.run_us(900_000);
        assert!(scene.is_linked(2, 0), "it reaches others");
        assert!(!scene.is_linked(0, 2), "others do not reach it");
        scene.run_us(900_000);
        // One that hangs takes two seconds to be given up.
        assert_eq!(scene.is_linked(0, 2), !hangs);
        scene.run_us(1_500_000);
        assert!(scene.is_linked(0, 2));
    }
}

#[test]
fn everything_that_holds_messages_up_can_be_mended() {
    let mut scene = Scene::new(2);
    scene.inflict(Fault::Cut {
        from: vec![0],
        to: vec![1],
        both_ways: true,
        span_us: 1_000_000,
    });
    scene.inflict(Fault::Clog {
        links: vec![LINK],
        span_us: 1_000_000,
    });
    scene.run_us(10);
    scene.inflict(Fault::Mend);
    scene.say(0, 1, 1);
    scene.run_us(2 * DELAY_US);
    assert_eq!(scene.numbers(1), [1]);
}
