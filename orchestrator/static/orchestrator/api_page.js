// Swagger UI on the OpenAPI document. What starts or changes something is sent only after a warning.
"use strict";

const place = document.getElementById("swagger-ui");
const warning = document.getElementById("warning");
const harmless = new Set(place.dataset.harmless.split(" "));
const changes = /^(post|put|patch|delete)$/;
let agreed = null; // the button of the request that the person agreed to send

// Logins of browsers apply by themselves, and tickets belong to streams: a person can only give a token here.
function withTokensAlone(spec) {
  const isToken = (each) => "bearerAuth" in each;
  spec.components.securitySchemes = { bearerAuth: spec.components.securitySchemes.bearerAuth };
  for (const operations of Object.values(spec.paths)) {
    for (const operation of Object.values(operations)) {
      if (operation.security) operation.security = operation.security.filter(isToken);
    }
  }
  return spec;
}

function withCsrfToken(request) {
  const isOurs = new URL(request.url, location.href).origin === location.origin;
  if (isOurs && changes.test((request.method || "get").toLowerCase())) {
    request.headers["X-CSRFToken"] = place.dataset.csrf;
  }
  return request;
}

// Before Swagger UI hears of the click: it has no hook that can refuse a request.
function warnFirst(event) {
  const button = event.target.closest(".opblock button.execute");
  if (!button || button === agreed) return;
  const operation = button.closest(".opblock");
  const method = operation.querySelector(".opblock-summary-method").textContent.toLowerCase();
  const isHarmless = [...harmless].some((id) => operation.id.endsWith(`-${id}`));
  if (!changes.test(method) || isHarmless) return;
  event.stopPropagation();
  event.preventDefault();
  const path = operation.querySelector(".opblock-summary-path").dataset.path;
  document.getElementById("warning-request").textContent = `${method.toUpperCase()} ${path}`;
  document.getElementById("warning-summary").textContent =
    operation.querySelector(".opblock-summary-description").textContent;
  warning.returnValue = "";
  warning.addEventListener("close", () => answered(button), { once: true });
  warning.showModal();
}

function answered(button) {
  if (warning.returnValue !== "send") return;
  agreed = button;
  button.click();
  agreed = null;
}

async function show() {
  const response = await fetch(place.dataset.document);
  document.addEventListener("click", warnFirst, { capture: true });
  SwaggerUIBundle({
    spec: withTokensAlone(await response.json()),
    domNode: place,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    requestInterceptor: withCsrfToken,
  });
}

show();
