//! What single rules of the lanes do.

use super::*;

fn entry(number: Number, conversation: &str, lane: Priority) -> Entry {
    Entry {
        number,
        channel: "c".into(),
        conversation: conversation.into(),
        lane,
        share: "".into(),
        counted: Counted { conversation: conversation.bytes().fold(7, |h, b| h * 31 + u64::from(b)), cost: 1, ..Counted::default() },
    }
}

fn lanes(limits: Limits) -> Lanes {
    let mut lanes = Lanes::default();
    lanes.limits(&"c".into(), Limits { concurrency: 100, ..limits }, 0);
    lanes
}

#[test]
fn a_conversation_keeps_its_order_and_has_one_attempt_at_a_time() {
    let mut lanes = lanes(Limits::default());
    let (first, second, other) = (entry(1, "a", Priority::Normal), entry(2, "a", Priority::Normal), entry(3, "b", Priority::Normal));
    [&first, &second, &other].into_iter().for_each(|e| lanes.push(e.clone()));
    assert_eq!(lanes.next(0), Next::Arm(1));
    assert_eq!(lanes.gate(&first, 0), Gate::Go);
    assert_eq!(lanes.next(0), Next::Arm(3), "the second of the conversation waits");
    assert_eq!(lanes.next(0), Next::Idle);
    lanes.again(&first, 1_000_000);
    assert_eq!(lanes.next(900_000), Next::Wait(1_000_000 - AHEAD));
    assert_eq!(lanes.next(1_000_000), Next::Arm(1), "first in, first out also after a retry");
    lanes.gate(&first, 1_000_000);
    lanes.remove(&first, true);
    assert_eq!(lanes.next(1_000_000), Next::Arm(2));
}

#[test]
fn urgent_passes_and_bulk_does_not_starve() {
    let mut lanes = lanes(Limits::default());
    for i in 0..100 {
        lanes.push(entry(i, &format!("n{i}"), Priority::Normal));
        lanes.push(entry(1000 + i, &format!("b{i}"), Priority::Bulk));
    }
    lanes.push(entry(5000, "u", Priority::Urgent));
    let mut order = Vec::new();
    while let Next::Arm(n) = lanes.next(0) {
        let lane = if n == 5000 {
            Priority::Urgent
        } else if n >= 1000 {
            Priority::Bulk
        } else {
            Priority::Normal
        };
        let conversation = match lane {
            Priority::Urgent => "u".to_owned(),
            Priority::Bulk => format!("b{}", n - 1000),
            Priority::Normal => format!("n{n}"),
        };
        let e = entry(n, &conversation, lane);
        lanes.gate(&e, 0);
        lanes.remove(&e, true);
        order.push(n);
    }
    assert_eq!(order[0], 5000);
    assert_eq!(order.len(), 201);
    let bulk_early = order[..64].iter().filter(|n| (1000..5000).contains(*n)).count();
    assert!((2..=8).contains(&bulk_early), "{bulk_early} of the first 64 are bulk");
}

#[test]
fn a_small_campaign_does_not_wait_for_a_large_one() {
    let mut lanes = lanes(Limits { sender: vec![Limit::new(10, 1_000_000, 1)], ..Limits::default() });
    let campaign = |n: u64, name: &str| Entry { share: name.into(), ..entry(n, &format!("p{n}"), Priority::Bulk) };
    (0..500).for_each(|n| lanes.push(campaign(n, "large")));
    (500..520).for_each(|n| lanes.push(campaign(n, "small")));
    let mut left = Vec::new();
    let mut now = 0;
    while left.len() < 45 {
        match lanes.next(now) {
            Next::Arm(n) => {
                let e = campaign(n, if n < 500 { "large" } else { "small" });
                while let Gate::Wait { at, .. } = lanes.gate(&e, now) {
                    now = at;
                }
                lanes.remove(&e, true);
                left.push(n);
            }
            Next::Wait(at) => now = at,
            Next::Idle => now += 1000,
        }
    }
    assert_eq!(left.iter().filter(|n| **n >= 500).count(), 20, "{left:?}");
}

#[test]
fn one_conversation_at_its_pair_limit_holds_nobody_else() {
    let mut lanes = lanes(Limits { each: vec![(Scope::Conversation, None, Limit::new(1, 6_000_000, 1))], ..Limits::default() });
    let (first, second) = (entry(1, "a", Priority::Normal), entry(2, "a", Priority::Normal));
    lanes.push(first.clone());
    lanes.push(second.clone());
    lanes.push(entry(3, "b", Priority::Normal));
    assert_eq!(lanes.next(0), Next::Arm(1));
    lanes.gate(&first, 0);
    lanes.remove(&first, true);
    assert_eq!(lanes.next(0), Next::Arm(3));
    let Next::Wait(at) = lanes.next(0) else { panic!("the pair limit holds") };
    assert!((6_000_000 - AHEAD..6_200_000).contains(&at), "{at}");
    assert_eq!(lanes.next(at), Next::Arm(2));
    assert!(matches!(lanes.gate(&second, at - 10), Gate::Wait { scope: Scope::Conversation, .. }));
}

#[test]
fn the_breaker_opens_probes_and_closes() {
    let mut lanes = lanes(Limits::default());
    let e = entry(1, "a", Priority::Normal);
    lanes.push(e.clone());
    lanes.push(entry(2, "b", Priority::Normal));
    assert_eq!(lanes.next(0), Next::Arm(1));
    lanes.gate(&e, 0);
    lanes.again(&e, 10);
    let until = (0..8).filter_map(|_| lanes.failed("c", 0)).last().expect("open");
    assert_eq!(lanes.next(100), Next::Wait(until));
    assert!(matches!(lanes.next(until), Next::Arm(_)));
    assert_eq!(lanes.next(until), Next::Idle, "one probe at a time");
    assert!(lanes.worked("c"));
}

#[test]
fn channels_of_one_account_share_its_limit_and_what_its_provider_says() {
    let mut lanes = Lanes::default();
    let of_account = || vec![Limit::new(10, 1_000_000, 1)];
    for channel in ["a", "b"] {
        let limits = Limits { account: "p/1".into(), of_account: of_account(), concurrency: 100, ..Limits::default() };
        lanes.limits(&channel.into(), limits, 0);
    }
    let message =
        |number, channel: &str| Entry { channel: channel.into(), ..entry(number, &format!("{channel}{number}"), Priority::Normal) };
    let (mut left, mut now) = (0, 0);
    (0..40).for_each(|n| lanes.push(message(n, if n % 2 == 0 { "a" } else { "b" })));
    while now < 1_000_000 {
        match lanes.next(now) {
            Next::Arm(n) => {
                let it = message(n, if n % 2 == 0 { "a" } else { "b" });
                while let Gate::Wait { at, .. } = lanes.gate(&it, now) {
                    now = at;
                }
                lanes.remove(&it, true);
                left += 1;
            }
            Next::Wait(at) => now = at,
            Next::Idle => break,
        }
    }
    assert!((9..=11).contains(&left), "{left} in a second");
    // A 429 of one channel's account holds the other as well.
    lanes.throttled(&message(0, "a"), Scope::Account, now, Some(now + 60_000_000));
    assert_eq!(lanes.held_until("b", Priority::Normal), Some(now + 60_000_000));
}

#[test]
fn a_slow_country_holds_no_other_and_each_who_waits_for_it_has_a_time() {
    let each = vec![(Scope::Country, Some(country(*b"DE")), Limit::new(2, 1_000_000, 1))];
    let mut lanes = lanes(Limits { each, ..Limits::default() });
    let to = |n: u64, code: &[u8; 2]| {
        let entry = entry(n, &format!("c{n}"), Priority::Normal);
        Entry { counted: Counted { country: *code, ..entry.counted }, ..entry }
    };
    let of = |n: u64| if n < 30 { to(n, b"DE") } else { to(n, b"FR") };
    (0..40).for_each(|n| lanes.push(of(n)));
    let (mut now, mut german, mut french, mut looks) = (0, Vec::new(), Vec::new(), 0);
    while german.len() < 10 {
        looks += 1;
        match lanes.next(now) {
            Next::Arm(n) => {
                while let Gate::Wait { at, scope, behind } = lanes.gate(&of(n), now) {
                    assert_eq!((scope, behind), (Scope::Country, Behind::Nobody));
                    now = at;
                }
                lanes.remove(&of(n), true);
                if n < 30 { german.push(now) } else { french.push(now) }
            }
            Next::Wait(at) => now = at,
            Next::Idle => break,
        }
    }
    assert_eq!(french.len(), 10);
    assert!(french.iter().all(|at| *at < 1_100_000), "the others do not wait: {french:?}");
    assert!((4_000_000..6_000_000).contains(&german[9]), "two a second: {german:?}");
    assert!(looks < 120, "{looks} looks for 20 messages");
}

#[test]
fn what_becomes_a_template_waits_for_it_and_holds_no_place() {
    let each = vec![(Scope::Template, None, Limit::new(1, 60_000_000, 1))];
    let mut lanes = lanes(Limits { each, sender: vec![Limit::new(400, 1_000_000, 1)], ..Limits::default() });
    let templated = |entry: Entry| Entry { counted: Counted { template: 7, opens: true, ..entry.counted }, ..entry };
    lanes.charge(&templated(entry(0, "p0", Priority::Normal)), 0);
    // Queued as a text; its provider wants a template, and its place among the armed goes to others until then.
    let late = templated(entry(1, "p1", Priority::Normal));
    lanes.push(entry(1, "p1", Priority::Normal));
    assert_eq!(lanes.next(100_000), Next::Arm(1));
    lanes.recount(&late);
    let Gate::Wait { at, scope: Scope::Template, behind: Behind::Nobody } = lanes.gate(&late, 100_000) else { panic!("it waits") };
    assert!(at > 60_000_000, "{at}");
    lanes.disarm_for(&late, at, Scope::Template);
    assert_eq!(lanes.long_waits(10_000_000), [(1, at, Some(Scope::Template))]);
    (2..6).for_each(|n| lanes.push(entry(n, &format!("p{n}"), Priority::Normal)));
    let others: Vec<Next> = (0..4).map(|_| lanes.next(200_000)).collect();
    assert!(others.iter().all(|next| matches!(next, Next::Arm(n) if *n > 1)), "{others:?}");
    // At its time it is asked by what it counts as now.
    assert_eq!(lanes.next(at), Next::Arm(1));
    assert_eq!(lanes.gate(&late, at), Gate::Go);
}

#[test]
fn very_many_people_are_looked_through_seldom() {
    let each = vec![(Scope::Conversation, None, Limit::new(3000, 86_400_000_000, 100))];
    let mut lanes = lanes(Limits { each, ..Limits::default() });
    let started = std::time::Instant::now();
    for n in 0..60_000_u64 {
        let entry = entry(n, "p", Priority::Normal);
        lanes.charge(&Entry { counted: Counted { conversation: n, ..entry.counted }, ..entry }, n as Micros * 1000);
    }
    // Looked through at each departure, this takes minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn what_leaves_late_makes_room_for_itself() {
    for seed in 0..20_u64 {
        let mut state = seed;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut lanes = lanes(Limits { sender: vec![Limit::new(25, 1_000_000, 1)], ..Limits::default() });
        let (mut now, mut left) = (0, Vec::new());
        // Those that have not left yet: when they will, what they are, when they were counted.
        let mut under_way: BinaryHeap<Reverse<(Micros, Number, Micros)>> = BinaryHeap::new();
        let count = 1000;
        for number in 0..count {
            let entry = |number: Number| entry(number, &number.to_string(), Priority::Normal);
            lanes.push(entry(number));
            let at = loop {
                while let Some(Reverse((at, late, counted))) = under_way.peek().copied().filter(|Reverse((at, ..))| *at <= now) {
                    under_way.pop();
                    if at - counted > LATE {
                        lanes.left_late(&entry(late), counted, at);
                    }
                }
                match lanes.next(now) {
                    Next::Arm(_) => {}
                    Next::Wait(at) => now = at,
                    Next::Idle => now += 100,
                }
                match lanes.gate(&entry(number), now) {
                    Gate::Go => break now,
                    // Asked again soon: until then something may have left late.
                    Gate::Wait { at, .. } => now = at.min(now + 2_000),
                }
            };
            // One in twenty waits for its connection; the way to the provider adds what it always may.
            let late = if draw(20) == 0 { 20_000 + draw(380_000) } else { draw(4_000) } as Micros;
            under_way.push(Reverse((at + late, number, at)));
            left.push(at + late + draw(9_000) as Micros);
            lanes.remove(&entry(number), true);
        }
        left.sort_unstable();
        let fullest = left.iter().enumerate().map(|(i, at)| left[i..].iter().take_while(|l| *l - at < 1_000_000).count()).max();
        assert!(fullest <= Some(25), "seed {seed}: {fullest:?} of 25 in a second");
        let used = count as f64 / 25.0 / (left[left.len() - 1] as f64 / 1e6);
        assert!(used > 0.75, "seed {seed}: {used} of the limit");
    }
}
