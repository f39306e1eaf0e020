//! Kills at every call on the way of a mail, from the event to the answer of the mail API.

use super::*;
use crate::mail_api;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_survives_a_kill_at_every_call_and_keeps_its_key() {
    needs_bench!("it kills instances");
    let api = mail_api::start().await;
    let world = World::with(None, mail_api::options(&api)).await;
    let prepare = async |round: usize| world.paid(&round.to_string()).await;
    let act = async |_, order: &i64| {
        let body = json!({ "status": "shipped", "tracking": "00340434" });
        let ship = world.shop.put(format!("/api/v1/orders/{order}/status"), &body);
        world.persist(ship.by(world.shop.admin().await)).await;
        world.shop.settle_over_time().await;
    };
    let check = |rounds: usize, order: &i64| {
        assert_eq!(world.status(*order), "shipped");
        let subjects = api.work().subjects(&world.ann.email);
        assert_eq!(subjects.iter().filter(|subject| subject.ends_with("is on its way")).count(), rounds);
        assert_eq!(subjects.len(), 3 * rounds, "placed, paid, shipped: each has one key, and one letter");
        let sent = world.shop.value("notifications", "SELECT count(*) FROM mails WHERE status = 'sent'");
        assert_eq!(sent, 3 * rounds, "and notifications know");
    };
    at_every_call("send a mail", &world, 1, prepare, act, check).await;
}
