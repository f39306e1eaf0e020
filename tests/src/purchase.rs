//! The steps of a purchase, as customers and sellers make them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Answer, Call, Customer, Shop, eventually};

/// How long the shop may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

impl Shop {
    /// A new product at `price`, in major units, with `stock` pieces; waits until inventory has them.
    pub async fn product(&self, price: f64, stock: u32) -> i64 {
        let body = json!({ "name": "Mug", "description": "Holds coffee.", "price": price, "stock": stock });
        let created = self.post("/api/v1/products", &body).by(self.admin().await).await.expect(201);
        let id = created["id"].as_i64().unwrap();
        eventually(PATIENCE, "inventory has the product", async || self.check(id, 1).await.status == 200).await;
        id
    }

    /// `GET /inventory/check`.
    pub fn check(&self, product: i64, quantity: u32) -> Call<'_> {
        self.get(format!("/api/v1/inventory/check?productId={product}&quantity={quantity}"))
    }

    /// The inventory record of a product.
    pub async fn stock(&self, product: i64) -> Value {
        self.get(format!("/api/v1/inventory/{product}")).by(self.admin().await).await.expect(200)
    }

    /// An order of `quantity` pieces, charged to `token` once they are reserved, if there is one.
    pub fn order<'a>(&'a self, by: &'a Customer, product: i64, quantity: u32, token: Option<&str>) -> Call<'a> {
        let mut body = json!({ "items": [{ "productId": product, "quantity": quantity }] });
        if let Some(token) = token {
            body["payment"] = json!({ "token": token });
        }
        self.post("/api/v1/orders", &body).by(by)
    }

    /// Places an order and returns its id.
    pub async fn place(&self, by: &Customer, product: i64, quantity: u32, token: Option<&str>) -> i64 {
        let placed = self.order(by, product, quantity, token).await.expect(201);
        placed["id"].as_i64().unwrap()
    }

    /// `POST /payments`.
    pub fn pay<'a>(&'a self, by: &'a Customer, order: i64, token: &str) -> Call<'a> {
        self.post("/api/v1/payments", &json!({ "orderId": order, "token": token })).by(by)
    }

    /// `POST /orders/{id}/cancel`.
    pub fn cancel<'a>(&'a self, by: &'a Customer, order: i64) -> Call<'a> {
        self.post(format!("/api/v1/orders/{order}/cancel"), &json!({})).by(by)
    }

    /// The order as the admin sees it.
    pub async fn find_order(&self, order: i64) -> Value {
        self.get(format!("/api/v1/orders/{order}")).by(self.admin().await).await.expect(200)
    }

    /// The payment of an order as the admin sees it.
    pub async fn payment_of(&self, order: i64) -> Answer {
        self.get(format!("/api/v1/payments/order/{order}")).by(self.admin().await).await
    }

    /// Waits until an order has this status, without a tick.
    ///
    /// # Panics
    ///
    /// When that takes too long, with what the order is by then.
    pub async fn wait_for(&self, order: i64, status: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.find_order(order).await;
            if found["status"] == status {
                return found;
            }
            assert!(Instant::now() < end, "order {order} is not {status}: {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
