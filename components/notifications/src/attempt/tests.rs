use proptest::prelude::*;

use super::*;

fn later(wait: Option<u64>) -> Outcome {
    Outcome::Later(Reason::new("no"), wait.map(Duration::from_secs))
}

fn too_fast(wait: Option<u64>) -> Outcome {
    Outcome::TooFast(Reason::new("no"), wait.map(Duration::from_secs))
}

fn progress(attempts: i64) -> Progress {
    Progress { attempts, give_up_after: MOST_ATTEMPTS, key_since: Timestamp(0) }
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let judge = |status: u16| judge(StatusCode::from_u16(status).unwrap(), None, Said::default());
    for status in [200, 201, 202, 204] {
        assert_eq!(judge(status), Outcome::Sent);
    }
    for status in [408, 409, 425, 500, 502, 503, 504] {
        assert!(matches!(judge(status), Outcome::Later(..)), "{status}");
    }
    assert!(matches!(judge(429), Outcome::TooFast(..)));
    for status in [401, 403] {
        assert!(matches!(judge(status), Outcome::Barred(_)), "{status}");
    }
    for status in [301, 400, 404, 413, 422] {
        assert!(matches!(judge(status), Outcome::Refused(_)), "{status}");
    }
}

#[test]
fn a_key_that_the_api_knows_with_another_letter_was_sent() {
    let conflict = |name: &str| {
        judge(StatusCode::CONFLICT, None, Said { name: Some(name.to_owned()), message: Some("other".to_owned()) })
    };
    let outcome = conflict("invalid_idempotent_request");
    assert!(outcome.is_sent() && outcome.reason().is_some(), "{outcome:?}");
    assert_eq!(next(&outcome, progress(3), Timestamp(0), 0), Next::Sent);
    assert!(matches!(conflict("concurrent_idempotent_requests"), Outcome::Later(..)));
}

#[test]
fn waits_grow_and_are_not_shorter_than_the_api_wants() {
    let wait = |attempts, wait| match next(&later(wait), progress(attempts), Timestamp(0), 0) {
        Next::Again(at) => Some(at.0 / 1000),
        _ => None,
    };
    let waits: Vec<_> = (1..=MOST_ATTEMPTS).filter_map(|attempt| wait(attempt, None)).collect();
    assert_eq!(waits, [5, 20, 80, 320, 1280, 3600, 3600]);
    assert_eq!(next(&later(None), progress(MOST_ATTEMPTS), Timestamp(0), 0), Next::Failed);
    assert_eq!(wait(1, Some(30)), Some(30), "as the API wants");
    assert_eq!(wait(3, Some(30)), Some(80), "but not sooner than we would");
    assert_eq!(wait(1, Some(1_000_000)), Some(3600), "nor far later");
}

#[test]
fn what_is_not_the_mails_fault_costs_no_attempt() {
    let back = |outcome: &Outcome| next(outcome, progress(MOST_ATTEMPTS), Timestamp(0), 0);
    assert_eq!(back(&too_fast(Some(2))), Next::Back(Timestamp(2_000)));
    assert_eq!(back(&too_fast(None)), Next::Back(Timestamp(5_000)));
    assert_eq!(back(&too_fast(Some(0))), Next::Back(Timestamp(1_000)), "never at once");
    assert_eq!(back(&Outcome::Barred(Reason::new("no"))), Next::Back(Timestamp(300_000)));
    assert_eq!(back(&Outcome::Untried(Timestamp(7))), Next::Back(Timestamp(7)));
}

#[test]
fn after_a_pause_mails_are_sent_with_care() {
    let pace = |now| pace(Timestamp(now), Timestamp(10_000));
    assert_eq!(pace(9_000), Pace::Paused(Duration::from_secs(1)));
    assert_eq!(pace(10_000), Pace::Going(2, Duration::from_secs(1)));
    assert_eq!(pace(69_999), Pace::Going(2, Duration::from_secs(1)));
    assert_eq!(pace(70_000), Pace::Going(8, Duration::ZERO));
}

#[test]
fn nobody_gets_more_mails_in_an_hour_than_they_should_that_anybody_can_bring_about() {
    let hour = 60 * 60 * 1000;
    let now = Timestamp(10 * hour);
    for (kind, earlier, expected) in [
        (Kind::OrderPlaced, Some(now.0 - hour + 1), true),
        (Kind::OrderCancelled, Some(now.0), true),
        (Kind::OrderPlaced, Some(now.0 - hour), false),
        (Kind::OrderPlaced, None, false),
        (Kind::PasswordReset, Some(now.0), false),
        (Kind::LowStock, Some(now.0), false),
        (Kind::Test, Some(now.0), false),
    ] {
        assert_eq!(is_too_many(kind, now, earlier.map(Timestamp)), expected, "{kind} {earlier:?}");
    }
}

#[test]
fn a_reason_is_one_line_of_bounded_length() {
    let reason = Reason { what: "the mail API answered 422".into(), said: Some("no\r\n\u{2028}such\0 address".into()) };
    assert_eq!(reason.text(), "the mail API answered 422: no such address");
    let long = Reason { what: "x".into(), said: Some("ä".repeat(1000)) };
    assert_eq!(long.text().chars().count(), LONGEST_REASON);
}

/// What can become of an attempt: `None` when the instance dies.
fn anything() -> impl Strategy<Value = Option<Outcome>> {
    let wait = || prop::option::of(0..1_000_000_u64);
    prop_oneof![
        Just(None),
        wait().prop_map(|wait| Some(later(wait))),
        wait().prop_map(|wait| Some(too_fast(wait))),
        Just(Some(Outcome::Barred(Reason::new("no")))),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_mail_ends_before_its_key_is_forgotten(
        fates in prop::collection::vec((anything(), any::<u8>()), 1..40), since in 0..1_000_000_000_i64,
    ) {
        let since = Timestamp(since);
        let (mut now, mut attempts, mut counted, mut ended) = (since, 0, 0, false);
        // The same fates again and again: in a day any of them ends it.
        for (fate, jitter) in fates.iter().cycle().take(90_000) {
            attempts += 1;
            let progress = Progress { attempts, give_up_after: MOST_ATTEMPTS, key_since: since };
            if progress.is_over(now).is_some() {
                ended = true;
                break;
            }
            prop_assert!(now < since.after(MEMORY), "sent under a key that may be forgotten");
            counted += 1;
            prop_assert!(counted <= MOST_ATTEMPTS);
            let Some(outcome) = fate else {
                now = now.after(LEASE);
                continue;
            };
            match next(outcome, progress, now, *jitter) {
                Next::Again(at) => {
                    prop_assert!(at >= now.after(FIRST_WAIT));
                    now = at;
                }
                Next::Back(at) => {
                    prop_assert!(at >= now.after(SHORTEST_PAUSE));
                    (now, attempts, counted) = (at, attempts - 1, counted - 1);
                }
                Next::Failed => {
                    ended = true;
                    break;
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(ended);
    }

    #[test]
    fn a_wait_is_as_long_as_it_must_be_and_at_most_a_quarter_longer(
        attempts in 1..MOST_ATTEMPTS, wait in prop::option::of(0..10_000_u64), jitter: u8,
    ) {
        for outcome in [later(wait), too_fast(wait)] {
            let at = |jitter| match next(&outcome, progress(attempts), Timestamp(0), jitter) {
                Next::Again(at) | Next::Back(at) => at.0,
                other => panic!("{other:?}"),
            };
            prop_assert!((at(0)..=at(0) * 5 / 4).contains(&at(jitter)));
            prop_assert!(at(0) >= i64::try_from(wait.unwrap_or_default().min(3600) * 1000).unwrap());
            prop_assert!(at(u8::MAX) > at(0));
        }
    }
}
