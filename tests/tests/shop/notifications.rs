//! What the shop writes to people: which mails there are, who sees them, and what admins do with them.

use std::time::Duration;

use serde_json::{Value, json};
use shop_tests::{Answer, Call, Customer, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    events::deliver,
    local_server::Mood,
    mail_api::{self, MailApi},
    support::{assert_invalid, assert_problem},
};

const NOTIFICATIONS: &str = "/api/v1/notifications";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn open() -> (MailApi, Shop, Customer) {
    let api = mail_api::start().await;
    let shop = Shop::start(mail_api::options(&api)).await;
    let ann = shop.customer("ann").await;
    (api, shop, ann)
}

async fn ship(shop: &Shop, order: i64, tracking: &str) {
    let body = json!({ "status": "shipped", "tracking": tracking });
    shop.put(format!("/api/v1/orders/{order}/status"), &body).by(shop.admin().await).await.expect(200);
}

async fn refund(shop: &Shop, order: i64, amount: f64) {
    let path = format!("/api/v1/orders/{order}/refunds");
    shop.post(path, &json!({ "amount": amount })).by(shop.admin().await).await.expect(201);
}

/// The items of a list.
async fn list(shop: &Shop, by: &Customer, query: &str) -> Vec<Value> {
    let page = shop.get(format!("{NOTIFICATIONS}{query}")).by(by).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// Of each mail one field.
fn each<'a>(mails: &'a [Value], field: &str) -> Vec<&'a str> {
    mails.iter().map(|mail| mail[field].as_str().unwrap_or_default()).collect()
}

/// Waits until no mail waits.
pub(crate) async fn all_settled(shop: &Shop, count: i64) {
    let settled = "SELECT count(*) FROM mails WHERE due_at IS NULL";
    eventually(PATIENCE, "mails are settled", async || shop.value("notifications", settled) == count).await;
}

async fn forgot(shop: &Shop, email: &str) {
    shop.post("/api/v1/auth/forgot-password", &json!({ "email": email })).await.expect(202);
}

fn resend<'a>(shop: &'a Shop, mail: &Value) -> Call<'a> {
    shop.request(reqwest::Method::POST, format!("{NOTIFICATIONS}/{}/resend", mail["id"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_from_start_to_end_yields_these_mails_and_no_others() {
    let (api, shop, ann) = open().await;
    let mug = shop.product(12.5, 200).await;
    let order = shop.place(&ann, mug, 2, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    api.wait_for(2).await;
    ship(&shop, order, "https://carrier.example/00340434").await;
    api.wait_for(3).await;
    refund(&shop, order, 5.0).await;
    api.wait_for(4).await;

    let declined = shop.place(&ann, mug, 1, Some("tok_declined")).await;
    shop.wait_for(declined, "failed").await;
    api.wait_for(6).await;
    let cancelled = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(cancelled, "paid").await;
    api.wait_for(8).await;
    shop.cancel(&ann, cancelled).await.expect(200);
    api.wait_for(10).await;
    shop.settle().await;
    all_settled(&shop, 10).await;

    let mails = api.work().all();
    let wanted = [
        "Your order {}",
        "Order {} is paid",
        "Order {} is on its way",
        "Refund for order {}",
        "Your order {}",
        "Order {} could not be completed",
        "Your order {}",
        "Order {} is paid",
        "Order {} is cancelled",
        "Refund for order {}",
    ];
    let orders = [[order; 4].as_slice(), &[declined; 2], &[cancelled; 4]].concat();
    let mut expected = Vec::new();
    for (subject, order) in wanted.iter().zip(orders) {
        let number = shop.find_order(order).await["number"].as_str().unwrap().to_owned();
        expected.push(subject.replace("{}", &number));
    }
    // Two that are made at the same moment may overtake each other on their way.
    let (mut subjects, mut wanted) = (api.work().subjects(&ann.email), expected.clone());
    subjects.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(subjects, wanted);
    for (place, facts) in [
        (0, &["Hello ann,", "2 x Mug, each €12.50: €25.00", "Total: €25.00"][..]),
        (1, &["€25.00"]),
        (2, &["2 x Mug", "https://carrier.example/00340434"]),
        (3, &["€5.00", "€5.00 of €25.00"]),
        (5, &["not been charged"]),
        (8, &["goes back to you"]),
        (9, &["€12.50", "all that you have paid"]),
    ] {
        let mail = mails.iter().find(|mail| mail.text("subject") == expected[place]).unwrap();
        for fact in facts {
            assert!(mail.text("text").contains(fact), "{fact}: {}", mail.text("text"));
        }
        assert!(mail.text("html").starts_with("<!DOCTYPE html>"), "{}", mail.text("html"));
        assert_eq!(mail.text("from"), "Bodega <shop@example.com>");
    }
    assert_eq!(api.requests(), 10, "each was sent once");
    let history = list(&shop, &ann, "").await;
    assert_eq!(history.len(), 10);
    assert!(history.iter().all(|mail| mail["status"] == "sent" && mail["attempts"] == 1), "{history:?}");
    assert_eq!(history[9]["reference"], format!("order/{order}"));
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn little_stock_is_written_to_admins_and_to_whose_product_it_is_once_each_time() {
    let (api, shop, ann) = open().await;
    let bob = shop.seller("bob").await;
    let body = json!({ "name": "Stoneware mug", "description": "", "price": 1, "stock": 7 });
    let mug = shop.post("/api/v1/products", &body).by(&bob).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    for _ in 0..4 {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.wait_for(order, "reserved").await;
    }
    // Added by an admin, and in no catalog: nobody knows whose it is.
    let admin = shop.admin().await;
    shop.post("/api/v1/inventory", &json!({ "productId": 4711, "quantity": 100 })).by(admin).await.expect(201);
    let adjust = json!({ "delta": -99, "reason": "broken" });
    shop.post("/api/v1/inventory/4711/adjust", &adjust).by(admin).await.expect(200);
    // An admin's own product: one mail, not two.
    let jug = shop.product(1.0, 100).await;
    shop.settle().await;
    shop.post(format!("/api/v1/inventory/{jug}/adjust"), &adjust).by(admin).await.expect(200);
    api.wait_for(8).await;
    shop.settle().await;
    all_settled(&shop, 8).await;
    assert_eq!(api.work().subjects(&bob.email), ["Stoneware mug: only 5 left"]);
    let own = list(&shop, &bob, "?kind=low-stock").await;
    assert_eq!((own.len(), &own[0]["reference"]), (1, &json!(format!("product/{mug}"))));
    let mut told = api.work().subjects("admin@example.com");
    told.sort_unstable();
    assert_eq!(told, ["Mug: only 1 left", "Product 4711: only 1 left", "Stoneware mug: only 5 left"]);
    let admins = list(&shop, admin, "?kind=low-stock").await;
    assert_eq!(admins.len(), 4, "{admins:?}");
    assert_eq!(admins[0]["userId"], admin.id, "the jug");
    let shops = admins.iter().find(|mail| mail["reference"] == "product/4711").unwrap();
    assert_eq!((&shops["to"], &shops["userId"]), (&json!("admin@example.com"), &Value::Null));
    let path = format!("{NOTIFICATIONS}/{}", shops["id"]);
    assert_problem(&shop.get(path).by(&bob).await, 404, "not-found", "the shop's own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_sees_the_own_mails_and_admins_find_all() {
    let (api, shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let admin = shop.admin().await;
    let mug = shop.product(5.0, 500).await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    api.wait_for(2).await;
    all_settled(&shop, 2).await;
    api.set_mood(Mood::Answering(422));
    shop.place(&bob, mug, 1, None).await;
    all_settled(&shop, 3).await;
    api.set_mood(Mood::FAILING);
    shop.place(&ann, mug, 1, None).await;
    let delayed = "SELECT count(*) FROM mails WHERE last_error IS NOT NULL AND due_at IS NOT NULL";
    eventually(PATIENCE, "one waits", async || shop.value("notifications", delayed) == 1).await;

    let kinds = async |by: &Customer, query: &str| each(&list(&shop, by, query).await, "kind").join(" ");
    assert_eq!(kinds(&ann, "").await, "order-placed order-paid order-placed");
    assert_eq!(kinds(&bob, "").await, "order-placed");
    for (query, expected) in [
        ("".to_owned(), "order-placed order-placed order-paid order-placed"),
        ("?status=sent".to_owned(), "order-paid order-placed"),
        ("?status=failed".to_owned(), "order-placed"),
        ("?status=pending".to_owned(), "order-placed"),
        ("?kind=order-paid".to_owned(), "order-paid"),
        ("?kind=order-placed&status=sent".to_owned(), "order-placed"),
        (format!("?userId={}", bob.id), "order-placed"),
        (format!("?userId={}&status=sent&kind=order-paid", ann.id), "order-paid"),
        (format!("?userId={}&status=failed", ann.id), ""),
    ] {
        assert_eq!(kinds(admin, &query).await, expected, "{query}");
    }
    assert_eq!(kinds(&ann, "?status=sent").await, "order-paid order-placed");
    let others = shop.get(format!("{NOTIFICATIONS}?userId={}", bob.id)).by(&ann).await;
    assert_problem(&others, 403, "forbidden", "the list of another");
    for bad in ["?status=lost", "?kind=poem", "?userId=me", "?limit=0"] {
        let status = shop.get(format!("{NOTIFICATIONS}{bad}")).by(admin).await.status.as_u16();
        assert!(status == 400 || status == 422, "{bad}: {status}");
    }

    let failed = list(&shop, admin, "?status=failed").await.remove(0);
    assert_eq!((&failed["attempts"], &failed["to"]), (&json!(1), &json!(bob.email)));
    assert_eq!(failed["lastError"], "the mail API answered 422: not now");
    assert!(failed.get("sentAt").is_none(), "{failed}");
    let path = format!("{NOTIFICATIONS}/{}", failed["id"]);
    assert_eq!(shop.get(path.as_str()).by(admin).await.expect(200), failed);
    let own = shop.get(path.as_str()).by(&bob).await.expect(200);
    assert_eq!(
        (&own["status"], own.get("lastError")),
        (&json!("failed"), None),
        "what went wrong is the shop's business"
    );
    assert_problem(&shop.get(path.as_str()).by(&ann).await, 404, "not-found", "another's");
    assert_problem(&shop.get(format!("{NOTIFICATIONS}/999999")).by(admin).await, 404, "not-found", "none");

    let mut seen = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = shop.get(format!("{NOTIFICATIONS}{query}")).by(admin).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        query = format!("?limit=1&cursor={next}");
    }
    assert_eq!(each(&seen, "kind").join(" "), kinds(admin, "").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_has_a_mail_sent_once_more_and_once_for_each_request() {
    let (api, shop, ann) = open().await;
    let admin = shop.admin().await;
    let mug = shop.product(5.0, 500).await;
    shop.place(&ann, mug, 1, None).await;
    api.wait_for(1).await;
    all_settled(&shop, 1).await;
    let mail = list(&shop, &ann, "").await.remove(0);
    for (by, status) in [(&ann, 403), (&shop.customer("bob").await, 403)] {
        assert_eq!(resend(&shop, &mail).by(by).await.status, status);
    }
    assert_problem(&resend(&shop, &json!({ "id": 999_999 })).by(admin).await, 404, "not-found", "none");

    let again = resend(&shop, &mail).by(admin).key("again").await;
    assert_eq!((again.status.as_u16(), &again.body["status"]), (202, &json!("pending")), "{}", again.text);
    let replayed = resend(&shop, &mail).by(admin).key("again").await;
    assert_eq!((replayed.header("idempotent-replayed"), &replayed.body), (Some("true"), &again.body));
    let mails = api.wait_for(2).await;
    all_settled(&shop, 1).await;
    assert_eq!(mails[0].body, mails[1].body);
    assert_eq!(mails[1].key, format!("{}/2", mails[0].key), "or the API would take it for the same");
    assert_eq!(list(&shop, &ann, "").await[0]["attempts"], 2);

    api.set_mood(Mood::Answering(422));
    resend(&shop, &mail).by(admin).json(&json!({})).await.expect(202);
    let failed = async || list(&shop, admin, "?status=failed").await.len() == 1;
    eventually(PATIENCE, "it has failed", failed).await;
    api.set_mood(Mood::FAILING);
    resend(&shop, &mail).by(admin).await.expect(202);
    let delayed = "SELECT count(*) FROM mails WHERE last_error IS NOT NULL AND due_at IS NOT NULL";
    eventually(PATIENCE, "it waits", async || shop.value("notifications", delayed) == 1).await;
    assert_problem(&resend(&shop, &mail).by(admin).await, 409, "still-pending", "one that waits");
    assert_eq!(api.work().all().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_sent_again_while_it_is_good_and_no_longer() {
    needs_bench!("it moves the clock");
    let (api, shop, ann) = open().await;
    let admin = shop.admin().await;
    forgot(&shop, &ann.email).await;
    let first = api.wait_for(1).await.remove(0);
    all_settled(&shop, 1).await;
    let code = shop.value("notifications", "SELECT json_extract(data, '$.code') FROM mails");
    assert!(first.text("text").contains(code.as_str().unwrap()), "{first:?}");
    assert_eq!(first.text("subject"), "Your code for a new password", "a subject is read on locked screens");
    let mail = list(&shop, &ann, "?kind=password-reset").await.remove(0);
    resend(&shop, &mail).by(admin).await.expect(202);
    assert_eq!(api.wait_for(2).await[1].body, first.body);
    all_settled(&shop, 1).await;
    shop.clock.advance(Duration::from_secs(10 * 60));
    assert_problem(&resend(&shop, &mail).by(admin).await, 409, "expired", "one that is good no longer");
    shop.tick("notifications").await;
    assert_problem(&resend(&shop, &mail).by(admin).await, 404, "not-found", "one that is gone");
    assert_eq!(api.requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_tries_how_mails_arrive() {
    let (api, shop, ann) = open().await;
    let admin = shop.admin().await;
    let test = async |body: Value| -> Answer { shop.post(format!("{NOTIFICATIONS}/test"), &body).by(admin).await };
    let asked = test(json!({ "to": "eve@example.com" })).await.expect(202);
    assert_eq!((&asked["kind"], &asked["to"]), (&json!("test"), &json!("eve@example.com")));
    assert_eq!(api.wait_for(1).await[0].text("subject"), "A test mail from Bodega");
    let body = json!({ "to": "eve@example.com", "kind": "order-shipped", "locale": "de" });
    test(body).await.expect(202);
    let sample = api.wait_for(2).await.remove(1);
    assert_eq!(sample.text("subject"), "[Test] Bestellung B-2026-000123 ist unterwegs");
    let own = shop.request(reqwest::Method::POST, format!("{NOTIFICATIONS}/test")).by(admin);
    for _ in 0..2 {
        own.clone().key("mine").await.expect(202);
    }
    assert_eq!(api.wait_for(3).await[2].to(), "admin@example.com", "without an address to oneself");
    all_settled(&shop, 3).await;
    assert_eq!(list(&shop, admin, "?kind=test&status=sent").await.len(), 3);

    let by_ann = shop.post(format!("{NOTIFICATIONS}/test"), &json!({ "to": "not one" })).by(&ann).await;
    assert_problem(&by_ann, 403, "forbidden", "by a customer");
    for (body, field) in [
        (json!({ "to": "not one" }), "to"),
        (json!({ "to": "a@example.com\r\nBcc: b@example.com" }), "to"),
        (json!({ "to": "eve@example.com", "kind": "poem" }), "kind"),
        (json!({ "to": "eve@example.com", "locale": "tlh" }), "locale"),
    ] {
        assert_invalid(&test(body).await, &[field], field);
    }
    assert_eq!(shop.value("notifications", "SELECT count(*) FROM mails"), 3, "what is refused changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_api_mails_go_to_the_log_and_are_history_all_the_same() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 500).await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    all_settled(&shop, 2).await;
    let history = list(&shop, &ann, "").await;
    assert_eq!(each(&history, "status"), ["sent", "sent"]);
    assert_eq!(each(&history, "to"), [ann.email.as_str(); 2]);
    shop.settle().await;
    shop.audit();
}

/// A shop without a mail API, after a code was asked for: what its components have written, and the code.
async fn logged(mail_log: &str) -> (Customer, String, String) {
    let variables = [("mail_log".to_owned(), mail_log.to_owned())].into();
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    forgot(&shop, &ann.email).await;
    all_settled(&shop, 1).await;
    shop.settle().await;
    let code = shop.value("notifications", "SELECT json_extract(data, '$.code') FROM mails");
    // What was written may be read a moment later.
    eventually(PATIENCE, "it is in the log", async || shop.output().join("\n").contains("\"mail-sent\"")).await;
    (ann, code.as_str().unwrap().to_owned(), shop.output().join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_neither_addresses_nor_codes() {
    let (ann, code, output) = logged("summary").await;
    assert!(output.contains("\"password-reset\""), "{output}");
    assert!(!output.contains(&ann.email) && !output.contains(&code), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_all_that_mails_say_where_that_is_wanted() {
    let (ann, code, output) = logged("full").await;
    let mails = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mails: Vec<_> = mails.filter(|line| line["event"] == "mail").collect();
    assert_eq!(mails.len(), 1, "{output}");
    assert_eq!((&mails[0]["kind"], &mails[0]["to"]), (&json!("password-reset"), &json!(ann.email)));
    assert_eq!(mails[0]["subject"], "Your code for a new password");
    assert!(mails[0]["text"].as_str().unwrap().contains(&code), "{output}");
    assert_eq!(output.matches(code.as_str()).count(), 1, "and it has it once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_among_the_mails_of_one_reader_is_bounded_and_goes_on() {
    needs_bench!("it delivers events itself");
    let variables = [("mails_per_hour".to_owned(), "0".to_owned())].into();
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 500).await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    let find = "SELECT envelope FROM outbox WHERE envelope LIKE '%\"ORDER_PAID\"%'";
    let event = shop.value("orders", find).as_str().unwrap().to_owned();
    let id = serde_json::from_str::<Value>(&event).unwrap()["eventId"].as_str().unwrap().to_owned();
    for batch in 0..10 {
        let copies = (0..100).map(|copy| event.replace(&id, &format!("01890000-0000-7000-8000-{batch:06}{copy:06}")));
        assert!(deliver(&shop, "notifications", &copies.collect::<Vec<_>>().join(",")).await);
    }
    let page = async |query: &str| -> Value { shop.get(format!("{NOTIFICATIONS}{query}")).by(&ann).await.expect(200) };
    let looked = page("?kind=order-placed").await;
    assert_eq!(looked["items"], json!([]), "it has looked at a thousand others");
    let rest = page(&format!("?kind=order-placed&cursor={}", looked["nextCursor"].as_str().unwrap())).await;
    assert_eq!((each(rest["items"].as_array().unwrap(), "kind"), rest.get("nextCursor")), (vec!["order-placed"], None));
    assert_eq!(page("?kind=order-paid&limit=3").await["items"].as_array().unwrap().len(), 3);
}
