"""Short texts of contacts and feedback, in English and Chinese: a few per topic, and praise."""

from typing import Final

import numpy as np
import pyarrow as pa

from churn.simulation.arrays import Bools, Ints

PRAISE: Final = "praise"
OTHERS: Final = "others"
GENERAL: Final = "general"

# topic -> (English, Chinese), as many of one as of the other
TEXTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "delivery": (
        ("My parcel is late again.", "It should have come days ago.", "Nobody was told about the delay."),
        ("包裹又晚到了。", "几天前就该送到了。", "没人通知我延误。"),
    ),
    "payment": (
        ("I was charged twice.", "My payment failed but the money is gone.", "Please give me my money back."),
        ("我被重复扣款了。", "付款失败但钱已扣。", "请退款给我。"),
    ),
    "stock": (
        ("It was out of stock once more.", "The shelf was empty.", "Why show it when you do not have it?"),
        ("又缺货了。", "货架是空的。", "没有货为什么还展示？"),
    ),
    "staff": (
        ("The person at the desk was rude.", "Nobody wanted to help me.", "I was treated like a number."),
        ("柜台人员态度很差。", "没有人愿意帮我。", "服务非常冷漠。"),
    ),
    "order": (
        ("I got the wrong item.", "Something else was in the box.", "The size is not what I ordered."),
        ("收到的商品不对。", "盒子里是别的东西。", "尺码和订单不符。"),
    ),
    "app": (
        ("The app does not open.", "I could not log in.", "It crashes at the checkout."),
        ("应用打不开。", "我无法登录。", "结账时闪退。"),
    ),
    "network": (
        ("No connection since the morning.", "The line is down again.", "It keeps breaking off."),
        ("从早上起就没有网络。", "线路又断了。", "一直掉线。"),
    ),
    "repair": (
        ("The technician did not come.", "I have waited a week for a repair.", "It is still broken."),
        ("维修人员没有来。", "等维修已经一周了。", "还是坏的。"),
    ),
    "order_status": (
        ("Where is my order?", "When will it arrive?", "Has it been sent?"),
        ("我的订单到哪了？", "什么时候送到？", "已经发货了吗？"),
    ),
    "product_question": (
        ("Does it come in blue?", "How do I wash it?", "Is it right for children?"),
        ("有蓝色的吗？", "怎么清洗？", "适合孩子用吗？"),
    ),
    "account": (
        ("I want to change my address.", "How do I reset my password?", "Please update my details."),
        ("我想修改地址。", "如何重置密码？", "请更新我的资料。"),
    ),
    PRAISE: (
        ("Very happy with it.", "Great service, thank you.", "I always find what I need."),
        ("非常满意。", "服务很好，谢谢。", "总能找到我要的东西。"),
    ),
    OTHERS: (
        ("A regular here.", "Came in with a friend.", "Knows our range well."),
        ("这里的常客。", "和朋友一起来的。", "很了解我们的商品。"),
    ),
    GENERAL: (
        ("It used to be better.", "I expected more.", "I will look elsewhere."),
        ("以前更好。", "我期待更多。", "我会去别处看看。"),
    ),
}

_TOPICS: Final = tuple(TEXTS)
_LENGTH: Final = 3
_FLAT: Final = pa.array([text for pair in TEXTS.values() for language in pair for text in language])


def text_codes(topics: tuple[str, ...]) -> Ints:
    """Returns the code of each topic's texts; a topic without its own has the general ones."""
    return np.array([_TOPICS.index(topic if topic in TEXTS else GENERAL) for topic in topics], dtype=np.int64)


def texts(codes: Ints, *, in_chinese: Bools, share: float, rng: np.random.Generator) -> pa.StringArray:
    """Returns one short text per row, null for all but a `share` of the rows and for codes below 0."""
    which = (codes * 2 + in_chinese) * _LENGTH + rng.integers(0, _LENGTH, len(codes))
    is_absent = (rng.random(len(codes)) >= share) | (codes < 0)
    return _FLAT.take(pa.array(np.where(is_absent, 0, which), type=pa.int64(), mask=is_absent))
