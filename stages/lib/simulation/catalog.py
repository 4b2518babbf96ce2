"""The constants of the simulated shop: pages, missions, calendar, devices and products.

None of them depends on the seed, so that all simulated logs are logs of the same shop. Weights need not sum to 1.
"""

from typing import NamedTuple

import numpy as np

from stages.lib.simulation.distributions import logistic, new_generator

EVENTS = ("view", "click", "scroll", "tab", "add", "remove", "purchase")
VIEW, CLICK, SCROLL, TAB, ADD, REMOVE, PURCHASE = range(len(EVENTS))

# Page types ------------------------------------------------------------

PAGE_TYPES = (
    "home",
    "search",
    "overview",
    "product",
    "sale",
    "cart",
    "checkout",
    "wishlist",
    "account",
    "service",
    "magazine",
    "store",
)
SEARCH, OVERVIEW, PRODUCT, SALE, CART, CHECKOUT = range(1, 7)
START = len(PAGE_TYPES)  # the row of TRANSITION_WEIGHTS for the first view
LIST_PAGES = (SEARCH, OVERVIEW, PRODUCT, SALE)  # pages that link to products
ORDER_PAGES = np.array([PRODUCT, CART] + [CHECKOUT] * 4)  # the views of an order

# A product's number is rank × CATEGORIES + category; one rank in SALE_EVERY is on sale.
CATEGORIES, RANKS, SALE_EVERY = 60, 48, 8
PAGE_COUNT = np.array([1, 600, CATEGORIES, RANKS * CATEGORIES, 12, 1, 4, 1, 1, 15, 40, 25])
PAGE_OFFSET = np.concatenate([[0], np.cumsum(PAGE_COUNT)[:-1]])
PAGES = [
    name if count == 1 else f"{name}-{number}"
    for name, count in zip(PAGE_TYPES, PAGE_COUNT, strict=True)
    for number in range(1, count + 1)
]

DWELL_SECONDS = np.array([9, 15, 22, 36, 24, 24, 38, 18, 25, 50, 65, 40.0])  # median, by page type

TRANSITION_WEIGHTS = np.array(
    [  # from a page type (row) to the next (column), in percent
        # hom sea ovw pro sal car che wis acc ser mag sto
        [3, 20, 28, 12, 12, 4, 0, 4, 6, 4, 4, 3],  # home
        [4, 22, 10, 50, 4, 2, 0, 2, 1, 2, 1, 2],  # search
        [4, 8, 24, 48, 6, 2, 0, 2, 1, 2, 2, 1],  # overview
        [3, 10, 22, 38, 5, 7, 0, 5, 1, 3, 2, 4],  # product
        [3, 5, 12, 50, 18, 3, 0, 3, 1, 1, 2, 2],  # sale
        [6, 6, 10, 20, 6, 12, 24, 5, 5, 3, 1, 2],  # cart
        [5, 3, 4, 6, 2, 18, 52, 1, 4, 5, 0, 0],  # checkout
        [5, 7, 10, 46, 5, 10, 0, 8, 4, 2, 1, 2],  # wishlist
        [14, 8, 8, 9, 4, 6, 0, 8, 25, 14, 2, 2],  # account
        [12, 10, 9, 9, 3, 3, 0, 2, 14, 30, 3, 5],  # service
        [8, 7, 14, 18, 6, 1, 0, 3, 1, 2, 38, 2],  # magazine
        [12, 9, 11, 17, 4, 2, 0, 2, 3, 10, 3, 27],  # store
        [32, 14, 14, 18, 8, 3, 0, 2, 3, 2, 3, 1],  # first view
    ]
)

# Missions: why a visitor comes ------------------------------------------------------------

MISSIONS = ("buy", "compare", "browse", "bargain", "service")
BUY, COMPARE, BROWSE, BARGAIN, SERVICE = range(len(MISSIONS))
MISSION_WEIGHT = np.array([20, 24, 30, 15, 11])
MISSION_LOYALTY = np.array([0.5, 0.0, -0.1, 0.0, 0.2])  # log weight per unit of loyalty
MISSION_RETURN = np.array([0.7, 0.4, -0.4, 0.0, 0.0])  # log weight when the visitor returns for the same need
MISSION_PHONE = np.array([-0.4, -0.1, 0.4, 0.0, 0.1])  # log weight on a phone
MISSION_INTENT = np.array([1.1, 0.1, -0.6, 0.1, -1.3])
MISSION_ADD = np.array([0.4, -0.3, -0.5, 0.3, -0.6])  # log odds of adding a viewed product to the cart
MISSION_SHORTLIST = np.array([0.6, 0.75, 0.2, 0.2, 0.4])  # probability that a viewed product is on the shortlist
MISSION_TAB = np.array([0.7, 2.2, 0.9, 1.0, 0.3])  # factor of opening products in hidden tabs
MISSION_DWELL = np.array([0.85, 1.15, 1.0, 0.95, 1.0])  # factor of the dwell time
MISSION_LENGTH = np.array([5.0, 7.5, 6.5, 6.5, 3.0])  # scale of the number of views after the scored one
MISSION_BOUNCE = np.array([-0.5, -0.4, 0.4, 0.0, 0.2])  # log odds of leaving after the first view
MISSION_PAGE = np.array(
    [  # factor of the transition weight to a page type
        # hom sea  ovw  pro  sal  car  che  wis  acc  ser  mag  sto
        [0.7, 1.8, 0.8, 1.3, 0.6, 2.4, 1.6, 1.2, 0.8, 0.4, 0.2, 0.9],  # buy
        [0.8, 1.3, 1.3, 1.5, 0.6, 0.7, 0.7, 1.6, 0.6, 0.7, 0.6, 1.0],  # compare
        [1.3, 0.5, 1.5, 0.9, 1.0, 0.5, 0.6, 1.0, 0.7, 0.6, 2.4, 1.1],  # browse
        [1.0, 0.7, 0.7, 1.0, 3.6, 0.9, 0.9, 0.8, 0.7, 0.5, 0.4, 0.8],  # bargain
        [1.2, 0.7, 0.4, 0.4, 0.3, 0.5, 0.6, 0.5, 4.5, 7.0, 0.6, 2.5],  # service
    ]
)
# Log factor of the transition weight to a page type, per unit of intent
INTENT_PAGE = np.array([-0.1, 0.2, -0.1, 0.15, 0, 0.45, 0.4, 0.15, 0, -0.3, -0.4, -0.1])

# Calendar: when visits begin ------------------------------------------------------------

HOUR_WEIGHTS = np.array([9, 5, 3, 2, 2, 4, 10, 20, 31, 40, 46, 48, 50, 48, 46, 46, 48, 52, 58, 68, 76, 72, 50, 24])
WEEKDAY_WEIGHTS = np.array([100, 97, 95, 93, 90, 96, 116])  # Monday first
MONTH_WEIGHTS = np.array([108, 92, 95, 94, 94, 90, 86, 88, 96, 102, 124, 134])

# Devices ------------------------------------------------------------

DESKTOP, TABLET, PHONE = range(3)


class Device(NamedTuple):
    """A model of device; of both versions, the first and the last at the start of the log."""

    device_type: int
    system: str
    system_versions: tuple[int, int]
    browser: str
    browser_versions: tuple[int, int]
    browser_versions_per_year: int  # by which the browser is updated
    weight: int


DEVICES = (
    Device(DESKTOP, "Windows 7", (7, 7), "Chrome", (37, 40), 9, 14),
    Device(DESKTOP, "Windows 7", (7, 7), "IE", (9, 11), 0, 10),
    Device(DESKTOP, "Windows 7", (7, 7), "Firefox", (32, 35), 8, 8),
    Device(DESKTOP, "Windows 7", (7, 7), "Opera", (24, 27), 8, 2),
    Device(DESKTOP, "Windows 8", (8, 8), "Chrome", (38, 40), 9, 6),
    Device(DESKTOP, "Windows 8", (8, 8), "IE", (10, 11), 0, 4),
    Device(DESKTOP, "Windows 8", (8, 8), "Firefox", (33, 35), 8, 3),
    Device(DESKTOP, "Windows 10", (10, 10), "Edge", (12, 13), 0, 3),
    Device(DESKTOP, "Windows 10", (10, 10), "Chrome", (38, 40), 9, 4),
    Device(DESKTOP, "Windows Vista", (6, 6), "IE", (7, 9), 0, 1),
    Device(DESKTOP, "Windows Vista", (6, 6), "Firefox", (30, 35), 8, 1),
    Device(DESKTOP, "Windows XP", (5, 5), "IE", (7, 8), 0, 1),
    Device(DESKTOP, "Windows XP", (5, 5), "Chrome", (34, 40), 9, 1),
    Device(DESKTOP, "Mac OS X", (10, 10), "Safari", (6, 8), 1, 7),
    Device(DESKTOP, "Mac OS X", (10, 10), "Chrome", (38, 40), 9, 3),
    Device(DESKTOP, "Linux", (3, 4), "Firefox", (31, 35), 8, 2),
    Device(DESKTOP, "Chrome OS", (38, 40), "Chrome", (38, 40), 9, 2),
    Device(TABLET, "iOS", (7, 8), "Mobile Safari", (7, 8), 1, 7),
    Device(TABLET, "Android", (4, 5), "Chrome Mobile", (36, 40), 9, 3),
    Device(TABLET, "Android", (4, 4), "Amazon Silk", (3, 4), 1, 2),
    Device(PHONE, "iOS", (7, 8), "Mobile Safari", (7, 8), 1, 11),
    Device(PHONE, "Android", (4, 5), "Chrome Mobile", (36, 40), 9, 7),
    Device(PHONE, "Android", (4, 4), "Android Browser", (4, 4), 0, 3),
    Device(PHONE, "Android", (4, 5), "Samsung Internet", (2, 3), 1, 3),
    Device(PHONE, "Android", (4, 5), "Firefox Mobile", (33, 35), 8, 2),
    Device(PHONE, "Windows Phone", (8, 8), "IE Mobile", (10, 11), 0, 2),
)
BROWSERS = sorted({device.browser for device in DEVICES})
SYSTEMS = sorted({device.system for device in DEVICES})
IOS_OFFSET = 2  # the row of SCREENS for a tablet or phone with iOS is so much further down
SCREENS = np.array(
    (  # width and height; a row has six, so that each is equally likely
        ((1920, 1080), (1920, 1080), (1366, 768), (1366, 768), (1440, 900), (1280, 1024)),  # desktop
        ((800, 1280), (800, 1280), (1280, 800), (600, 1024), (1024, 600), (768, 1024)),  # tablet
        ((360, 640), (360, 640), (360, 640), (320, 533), (320, 480), (412, 732)),  # phone
        ((768, 1024), (768, 1024), (768, 1024), (768, 1024), (1024, 768), (1024, 768)),  # tablet, iOS
        ((375, 667), (375, 667), (320, 568), (320, 568), (414, 736), (320, 480)),  # phone, iOS
    )
)

# Products ------------------------------------------------------------


def _products() -> tuple[np.ndarray, np.ndarray]:
    """The price of every product, and the price level of every category (standard deviation 1)."""
    rng = new_generator(2015)
    level = logistic(rng, CATEGORIES)
    product = np.arange(RANKS * CATEGORIES)
    full_price = 35 * np.exp(0.7 * level[product % CATEGORIES] + 0.45 * logistic(rng, len(product)))
    on_sale = product // CATEGORIES % SALE_EVERY == SALE_EVERY // 2
    return np.round((np.floor(full_price) + 0.95) * np.where(on_sale, 0.7, 1.0), 2), level


PRICE, PRICE_LEVEL = _products()
