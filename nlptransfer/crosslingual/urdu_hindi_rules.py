"""The tables between Urdu, Devanagari and Latin that `transliteration` reads: data, with the loops that spell it out.

A table is a list of (letters read, letters written, position), as in a file that a user supplies. Devanagari is read
and written as `normalise_devanagari` leaves it.
"""

from __future__ import annotations

import re
from itertools import product

Rules = list[tuple[str, str, str]]
"""(letters read, letters written, position or empty)."""


def _pairs(text: str, position: str = "") -> Rules:
    """Rules written as ``from to from to``; a hyphen is written for nothing."""
    words = text.split()
    return [
        (source, "" if target == "-" else target, position) for source, target in zip(*[iter(words)] * 2, strict=True)
    ]


def _plain(text: str) -> dict[str, str]:
    return {source: target for source, target, _ in _pairs(text)}


_COMMON_WORDS = _plain(
    """
    میں में ٹھیک ठीक جانب जानिब لیے लिए کیے किए دیے दिए پیے पिए
    کہ कि نہ न یہ यह وہ वह اور और ہے है ہیں हैं ہےں हैं مےں में اس इस ان इन اسی इसी اسے इसे انہیں उन्हें انھیں उन्हें
    انہوں उन्होंने انھوں उन्होंने جنہوں जिन्होंने جنہیں जिन्हें جس जिस جن जिन کس किस کسی किसी کیا क्या کیوں क्यों
    کیونکہ क्योंकि جبکہ जबकि بلکہ बल्कि تاکہ ताकि چونکہ चूंकि حالانکہ हालांकि اگرچہ अगरचे چنانچہ चुनांचे لیکن लेकिन
    سو सौ نہیں नहीं گیا गया ہوا हुआ ہوئے हुए ہوئی हुई ہوئیں हुईं ہوں हूं تھیں थीं لئے लिए کئے किए دئے दिए پئے पिए
    کچھ कुछ پھر फिर مجھے मुझे مجھ मुझ تجھے तुझे بہت बहुत تم तुम ابھی अभी ایسا ऐसा ایسے ऐसे ایسی ऐसी جیسا जैसा جیسے जैसे
    جیسی जैसी ویسے वैसे اتنا इतना اتنے इतने اتنی इतनी دوسرا दूसरा دوسرے दूसरे دوسری दूसरी تین तीन چھ छह چھے छह نو नौ
    گیارہ ग्यारह بارہ बारह تیرہ तेरह چودہ चौदह پندرہ पंद्रह سولہ सोलह سترہ सत्रह اٹھارہ अठारह جگہ जगह وجہ वजह تہہ तह
    رہ रह کہہ कह طرح तरह طرف तरफ़ طور तौर دن दिन دنوں दिनों ملک मुल्क گر गिर بچہ बच्चा بچے बच्चे بچی बच्ची بچوں बच्चों
    اچھا अच्छा اچھے अच्छे اچھی अच्छी سچا सच्चा پتہ पता چکا चुका چکے चुके چکی चुकी دور दूर دوران दौरान موت मौत فوج फ़ौज
    فوجی फ़ौजी فوری फ़ौरी خود ख़ुद خدا ख़ुदा خوش ख़ुश پیدا पैदा پیسے पैसे پیسہ पैसा بیٹھ बैठ بیٹھا बैठा بیٹھے बैठे
    بیٹھی बैठी پیچھے पीछे میرا मेरा میرے मेरे میری मेरी زندگی ज़िंदगी زندہ ज़िंदा دنیا दुनिया عورت औरत زیادہ ज़्यादा
    صرف सिर्फ़ شروع शुरू ختم ख़त्म وقت वक़्त بعد बाद قبل क़ब्ल پہلو पहलू بغیر बग़ैर وغیرہ वग़ैरह علاوہ अलावा
    خلاف ख़िलाफ़ مطابق मुताबिक़ متعلق मुतल्लिक़ تعلق ताल्लुक़ تعلقات ताल्लुक़ात ذریعہ ज़रिए ذریعے ज़रिए ذرائع ज़राए
    حاصل हासिल شامل शामिल داخل दाख़िल داخلہ दाख़िला ظاہر ज़ाहिर حاضر हाज़िर کامیاب कामयाब کامیابی कामयाबी موجود मौजूद
    موجودہ मौजूदा موقع मौक़ा موقف मौक़िफ़ موسم मौसम مولانا मौलाना واقع वाक़े واقعہ वाक़या واقعات वाक़यात واقف वाक़िफ़
    خاص ख़ास خاصا ख़ासा خصوصی ख़ुसूसी عام आम عوام अवाम عوامی अवामी حکومت हुकूमत حکم हुक्म حکام हुक्काम حقوق हुक़ूक़
    قانونی क़ानूनी سیاست सियासत ریاست रियासत ریاستی रियासती ریاستوں रियासतों اجلاس इजलास انتخاب इंतिख़ाब
    انتخابات इंतिख़ाबात انتخابی इंतिख़ाबी استعمال इस्तेमाल اضافہ इज़ाफ़ा اظہار इज़हार اعلان ऐलान اعلیٰ आला اعلی आला
    اعظم आज़म اطلاع इत्तिला اطلاعات इत्तिलाआत اجازت इजाज़त اسلام इस्लाम اسلامی इस्लामी انتظار इंतज़ार انتظام इंतज़ाम
    انتظامیہ इंतज़ामिया انقلاب इंक़लाब انعام इनाम انکار इनकार انکشاف इंकिशाफ़ امتحان इम्तिहान امید उम्मीद
    امیدوار उम्मीदवार امیدواروں उम्मीदवारों امداد इमदाद امکان इमकान ارادہ इरादा اشارہ इशारा اشاعت इशाअत اعتماد एतमाद
    اعتراض एतराज़ اعتبار एतबार اقتدار इक़्तिदार اقلیت अक़्लियत اقلیتی अक़्लियती اکثر अक्सर اکثریت अक्सरियत الزام इल्ज़ाम
    الزامات इल्ज़ामात اللہ अल्लाह الدین उद्दीन اول अव्वल اولاد औलाद اوسط औसत اوپر ऊपर اونچا ऊंचा اونٹ ऊंट ایران ईरान
    ایرانی ईरानी ایمان ईमान ایماندار ईमानदार عمر उम्र عمل अमल عملی अमली علاج इलाज علاقہ इलाक़ा علاقے इलाक़े
    علاقوں इलाक़ों علاقائی इलाक़ाई علم इल्म عشق इश्क़ عزت इज़्ज़त عبادت इबादत عراق इराक़ عہدہ ओहदा عہدے ओहदे
    عہدیدار ओहदेदार عہدیداروں ओहदेदारों عید ईद عیسائی ईसाई عیش ऐश عثمان उस्मान عائد आयद عدالت अदालत آئندہ आइंदा
    آخر आख़िर آخری आख़िरी آفیسر ऑफ़िसर آفس ऑफ़िस آف ऑफ़ بنیاد बुनियाद بنیادی बुनियादी بہتر बेहतर بہترین बेहतरीन
    بجائے बजाय برداشت बर्दाश्त برے बुरे برا बुरा بری बुरी بلایا बुलाया بلا बुला بیرون बैरून بیرونی बैरूनी بینک बैंक
    پرانا पुराना پرانے पुराने پرانی पुरानी پیغام पैग़ाम پیدل पैदल پردیش प्रदेश پریس प्रेस پرساد प्रसाद پرکاش प्रकाश
    پولیس पुलिस پولس पुलिस پارلیمنٹ पार्लियामेंट پارلیمانی पार्लियामानी تبدیل तब्दील تبدیلی तब्दीली تجربہ तजुर्बा
    تحریک तहरीक تحفظ तहफ़्फ़ुज़ ترقی तरक़्क़ी تشدد तशद्दुद تصویر तस्वीर تقریباً तक़रीबन تقریبا तक़रीबन توجہ तवज्जो
    توقع तवक़्क़ो تیسرا तीसरा تیسرے तीसरे تیسری तीसरी ٹیم टीम ٹیکس टैक्स ٹسٹ टेस्ट ٹرین ट्रेन ثابت साबित جائزہ जायज़ा
    جلد जल्द جلدی जल्दी جدوجہد जद्दोजहद جسم जिस्म جماعت जमात جماعتوں जमातों جون जून جولائی जुलाई جنوری जनवरी
    چیئرمین चेयरमैन چیرمین चेयरमैन چائے चाय رائے राय گائے गाय ہائے हाय حصہ हिस्सा حصے हिस्से حلقہ हल्क़ा حملہ हमला
    حسین हुसैन حیدرآباد हैदराबाद حیران हैरान حیثیت हैसियत خدمت ख़िदमत خدمات ख़िदमात خطاب ख़िताब خواہش ख़्वाहिश
    خواب ख़्वाब خوبصورت ख़ूबसूरत درج दर्ज درجہ दर्जा درخت दरख़्त درخواست दरख़्वास्त دشمن दुश्मन دکان दुकान دہلی दिल्ली
    دلی दिल्ली دیگر दीगर دورہ दौरा دورے दौरे دولت दौलत ڈاکٹر डॉक्टर ڈالر डॉलर ڈپٹی डिप्टी ذکر ज़िक्र ذمہ ज़िम्मा
    رپورٹ रिपोर्ट رکن रुक्न ریڈی रेड्डी رشتہ रिश्ता رشتے रिश्ते روپئے रुपये روپے रुपये روپیہ रुपया روس रूस روسی रूसी
    روح रूह زخمی ज़ख़्मी زیر ज़ेर سابق साबिक़ سخت सख़्त سفید सफ़ेद سلسلہ सिलसिला سلسلے सिलसिले سورج सूरज سید सैयद
    سیشن सेशन سنگھ सिंह سپریم सुप्रीम سعودی सऊदी شخص शख़्स شخصیت शख़्सियत شدت शिद्दत شعبہ शोबा شعر शेर شکار शिकार
    شکایت शिकायत شکست शिकस्त شکریہ शुक्रिया صاحب साहब صبح सुबह صحت सेहत صحیح सही صوبہ सूबा صوبے सूबे صوبائی सूबाई
    صورت सूरत صورتحال सूरतेहाल ضرورت ज़रूरत ضروری ज़रूरी ضرور ज़रूर ضلع ज़िला طاقت ताक़त طاقتور ताक़तवर طالب तालिब
    طلبہ तलबा طلبا तलबा ظلم ज़ुल्म عادل आदिल عالم आलम عالمی आलमी عورتوں औरतों عورتیں औरतें غلام ग़ुलाम غصہ ग़ुस्सा
    غور ग़ौर فائدہ फ़ायदा فائدے फ़ायदे فلم फ़िल्म فلمیں फ़िल्में فون फ़ोन فیس फ़ीस فیصد फ़ीसद فیصلہ फ़ैसला فیصلے फ़ैसले
    فہرست फ़ेहरिस्त قابل क़ाबिल قائم क़ायम قبضہ क़ब्ज़ा قتل क़त्ल قدر क़द्र قدرت क़ुदरत قرآن क़ुरान قربان क़ुर्बान
    قربانی क़ुर्बानी قسم क़िस्म قصہ क़िस्सा قیادت क़यादत قیام क़याम کارروائی कार्रवाई کالج कॉलेज کتاب किताब
    کتابیں किताबें کتنا कितना کتنے कितने کتنی कितनी کرسی कुर्सी کشمیر कश्मीर کمار कुमार کمیشن कमीशन کونسل कौंसिल کون कौन
    کوشش कोशिश کوششوں कोशिशों کھلاڑی खिलाड़ी کھلاڑیوں खिलाड़ियों کیس केस کانگریس कांग्रेस کانفرنس कॉन्फ़्रेंस
    گرفتار गिरफ़्तार گرفتاری गिरफ़्तारी گزشتہ गुज़िश्ता گذشتہ गुज़िश्ता گاؤں गांव پاؤں पांव گورنر गवर्नर گروپ ग्रुप
    گھوڑا घोड़ा گھوڑے घोड़े گیت गीत لہذا लिहाज़ा لہٰذا लिहाज़ा لحاظ लिहाज़ لیڈر लीडर لیگ लीग متاثر मुतास्सिर مثال मिसाल
    محبت मुहब्बत محسوس महसूस محفل महफ़िल محکمہ महकमा محمد मुहम्मद مختلف मुख़्तलिफ़ مخالف मुख़ालिफ़ مخالفت मुख़ालिफ़त
    مذاکرات मुज़ाकरात مرتبہ मर्तबा مسئلہ मसला مسئلے मसले مستقبل मुस्तक़बिल مسٹر मिस्टर مسجد मस्जिद مسلم मुस्लिम
    مشکل मुश्किल مشکلات मुश्किलात مصر मिस्र مطالبہ मुतालबा مطلب मतलब معاملہ मामला معاملے मामले معاملات मामलात
    معاہدہ मुआहदा معلوم मालूम معلومات मालूमात مقابلہ मुक़ाबला مقابلے मुक़ाबले مقام मुक़ाम مقامی मुक़ामी مقرر मुक़र्रर
    مقدمہ मुक़दमा مکمل मुकम्मल ملاقات मुलाक़ात ملازم मुलाज़िम ملازمین मुलाज़िमीन ممبئی मुंबई ممکن मुमकिन مناسب मुनासिब
    منتخب मुंतख़ब منتقل मुंतक़िल منصوبہ मंसूबा منظور मंज़ूर منظوری मंज़ूरी منعقد मुनअक़िद منٹ मिनट منسٹر मिनिस्टर
    مہم मुहिम مہینہ महीना میدان मैदान میچ मैच نشان निशान نشانہ निशाना نظام निज़ाम نظر नज़र نقصان नुक़सान نگرانی निगरानी
    نوٹ नोट نوٹس नोटिस نیشنل नेशनल ورلڈ वर्ल्ड ویڈیو वीडियो ہندو हिंदू ہندوستان हिंदुस्तान ہدایت हिदायत ہمیشہ हमेशा
    یعنی यानी یوسف यूसुफ़ یونیورسٹی यूनिवर्सिटी یورپ यूरोप اردو उर्दू اسرائیل इस्राइल اپریل अप्रैल ستمبر सितंबर
    اکتوبر अक्टूबर افغانستان अफ़गानिस्तान
    """
)
"""Frequent words that the rules read or spell otherwise: the first of two that share a spelling is its answer."""

VOWEL_SIGNS = dict(zip("ािीुूृेैोौॉॅ", "आइईउऊऋएऐओऔऑऍ", strict=True))
"""The sign of each vowel after a consonant -> its letter."""

_LOAN_NUQTA = re.compile("(?<=[कखगजझफ])़")
_RARE_NUQTA = re.compile("(?<=[कखग])़")


_DEVANAGARI_LETTERS = _plain(
    "क ک ख کھ ग گ घ گھ ङ ن च چ छ چھ ज ج झ جھ ञ ن ट ٹ ठ ٹھ ड ڈ ढ ڈھ ण ن त ت थ تھ द د ध دھ न ن प پ फ پھ ब ب भ بھ म م "
    "य ی र ر ल ل व و श ش ष ش स س ह ہ ळ ل ऩ ن ऱ ر ऴ ل क़ ق ख़ خ ग़ غ ज़ ز झ़ ژ ड़ ڑ ढ़ ڑھ फ़ ف य़ ی"
)


def devanagari_to_urdu() -> Rules:
    """Reads what `normalise_devanagari` leaves and writes what `normalise_urdu` leaves."""
    rules: Rules = [
        (key, urdu, "whole") for urdu, deva in _COMMON_WORDS.items() for key in (deva, _LOAN_NUQTA.sub("", deva))
    ]
    for letter, urdu in _DEVANAGARI_LETTERS.items():
        rules.append((letter, urdu, ""))
        rules.append((f"{letter}्{letter}", urdu, ""))
    for plain, aspirate in zip("कगचजटडतदपब", "खघछझठढथधफभ", strict=True):
        rules.append((f"{plain}्{aspirate}", _DEVANAGARI_LETTERS[aspirate], ""))
    rules += _pairs("अ ا आ آ इ ا ई ای उ ا ऊ او ऋ ر ए ای ऐ ای ओ او औ او ऑ آ ऍ ای", "initial")
    rules += _pairs("ॐ اوم अ ا आ ا इ ئ ई ئی उ ؤ ऊ ؤ ऋ ر ए ئی ऐ ئی ओ ؤ औ ؤ ऑ آ ऍ ئی")
    rules += _pairs("इ ئی ए ئے ऐ ئے एं ئیں इए ئیے", "final")
    rules += _pairs("ए اے ऐ اے वे وہ ये یہ उस اس उसे اسے उसी اسی उन ان", "whole")
    rules += _pairs("ा ا ि - ी ی ु - ू و े ی ै ی ो و ौ و ॉ ا ॅ ی ृ ر ॄ ر ् - ़ - ः ہ ं ن ऽ -")
    rules += _pairs("ि ی ु و े ے ै ے ं ں िए یے ीय یہ ्य یہ ाय ائے ाव اؤ ांव اؤں", "final")
    rules += _pairs("ुआ وا ुई وئی ुए وئی िअ یا िआ یا िए یئ िय ی िओ یو ीय ی")
    rules += _pairs("ुए وئے ुएं وئیں ुईं وئیں", "final")
    rules += _pairs("ज्ञ گی ंब مب ंभ مبھ ंप مپ ंफ مپھ ंफ़ نف")
    rules += _pairs("स्क اسک स्ट اسٹ स्प اسپ स्थ استھ स्म اسم", "initial")
    return rules


_URDU_LETTERS = _plain(
    "ب ब پ प ت त ٹ ट ث स ج ज چ च ح ह خ ख د द ڈ ड ذ ज़ ر र ڑ ड़ ز ज़ ژ ज़ س स ش श ص स ض ज़ ط त ظ ज़ غ ग ف फ़ ق क ک क گ ग "
    "ل ल م म ن न ہ ह و व ی य بھ भ پھ फ تھ थ ٹھ ठ جھ झ چھ छ دھ ध ڈھ ढ ڑھ ढ़ کھ ख گھ घ لھ ल्ह مھ म्ह نھ न्ह رھ र्ह"
)
_UNASPIRATED = dict(zip("खघछझठढथधफभ", "कगचजटडतदपब", strict=True))


_VOWELS_INSIDE = _plain(
    "ا ा و ो ی ी ے े ئ इ یا िया یو ्यू یوا ेवा یوی ेवी وا वा وی वी وے वे وو ोव ووی ोवी ئی ई ئے ए ئا आ ئو ओ "
    "ائ ाइ ائی ाय اؤ ाउ ای ाय او ाव یئ िय عا ा عی ई عو ऊ ع ा اع ा وع ो یع ीय َو ौ ُو ू َی ै َے ै ِی ी"
)
_VOWELS_AT_THE_END = _plain(
    "ا ा و ो ی ी ے े ہ ा اہ ाह وہ ोह اوہ ावा یہ िया ایہ ाया وا वा وی वी وے वे یا िया یو ियो یوں ियों یاں ियां "
    "ایا ाया ایاں ायां وں ों یں ें یے िए ئی ई ئے ए ئیں ईं ئیے इए یئے िए ائی ाई ائے ाए ائیں ाएं ائیے ाइए اؤ ाव "
    "اؤں ाओं ائو ाव او ाव اء ा ع ा عہ ा اع ा وع ू یع ी عا आ عی ई عیں एं یٰ ा وئی ोई وئے ोए ویا ोया اً न "
    "یگا ेगा یگی ेगी یگے ेगे ئیگا एगा ئیگی एगी ئیگے एगे ئےگا एगा ئےگی एगी ئےگے एगे ےگا ेगा ےگی ेगी ےگے ेगे "
    "ائیگا ाएगा ائیگی ाएगी ائیگے ाएगे ائےگا ाएगा ائےگی ाएगी ائےگے ाएगे ائینگے ाएंगे ائینگی ाएंगी ینگے ेंगे "
    "ینگی ेंगी ونگا ूंगा ونگی ूंगी"
)
_FIRST_VOWEL = {
    **dict.fromkeys((letter + "ی" for letter in "بپتٹدرشلوڈ"), "े"),
    **dict.fromkeys(("بھی", "کھی", "پھی", "گھی", "دھی", "چھی", "ڈھی", "ٹھی", "تھی"), "े"),
    **dict.fromkeys((letter + "ی" for letter in "حخغفکگ"), "ै"),
    **dict.fromkeys(("چو", "نو", "قو", "فو"), "ौ"),
    **dict.fromkeys(("پو", "صو", "خو", "بھو", "گھو", "پھو", "دھو", "یو"), "ू"),
}
"""What و or ی after the first consonant of a word is read as, where it is not what it is further on."""


def urdu_to_devanagari() -> Rules:
    """Reads what `with_urdu_letters` leaves, vowel marks included.

    Vowels come out as signs; `join_vowel_signs` makes letters of those that follow no consonant.
    """
    rules: Rules = [(urdu, _RARE_NUQTA.sub("", deva), "whole") for urdu, deva in _COMMON_WORDS.items()]
    rules += [(f"{urdu}ِ", f"{_RARE_NUQTA.sub('', deva)}-ए", "whole") for urdu, deva in _COMMON_WORDS.items()]
    rules += _pairs("ء ई", "whole") + _pairs("ئ इ")
    rules += _pairs("آئ आय آئی आई آؤ आउ پیا प्या بیا बया خیا खया تیا तैया زیا ज़्या", "initial")
    for urdu, deva in _URDU_LETTERS.items():
        rules += [(urdu, deva, ""), (f"{urdu[0]}ّ{urdu[1:]}", f"{_UNASPIRATED.get(deva, deva)}्{deva}", "")]
        nasal = "م" if deva in "पफबभ" else "ن" if deva in "कखगघचछजझटठडढतथदध" else ""
        if nasal:
            rules += [(nasal + urdu, f"ं{deva}", position) for position in ("medial", "final")]
        # A word's first consonant takes the vowel after it along, since that vowel is read in a way of its own.
        for vowel, sign in _VOWELS_INSIDE.items():
            rules.append((urdu + vowel, deva + _FIRST_VOWEL.get(urdu + vowel, sign), "initial"))
        rules += [(urdu + vowel, deva + sign, "whole") for vowel, sign in _VOWELS_AT_THE_END.items()]
        if urdu not in ("ڑ", "ش", "گ", "ڈ", "س", "چ", "ہ", "ی", "و"):
            rules.append((f"و{urdu}", f"ू{deva}", "final"))
    rules += [(vowel, sign, "medial") for vowel, sign in _VOWELS_INSIDE.items()]
    for vowels, position in ((_VOWELS_INSIDE, "initial"), (_VOWELS_AT_THE_END, "whole")):
        rules += [("آ" + vowel[1:], "आ" + sign[1:], position) for vowel, sign in vowels.items() if vowel[0] == "ا"]
    rules += [(vowel, sign, "final") for vowel, sign in _VOWELS_AT_THE_END.items() if vowel != "ئے"]
    rules += _pairs(
        "یٹ ेट یش ेश یڈ ेड یت ियत نب ंब نتا नता نتے नते نتی नती نکر नकर ندار नदार گئے गए ئے िए ِ -ए ۂ ा-ए ں ं", "final"
    )
    rules += _pairs("نب ंब نس ंस یٹ ेट یش ेश", "medial")
    rules += _pairs("آ आ ں ं ھ ह ٰ ा ٘ ं ء - ع - ۃ त ۂ ा ؤ ओ اً न ً न وٰ ा ِ ि َ - ُ ु ْ ् ٖ ी ٗ ू ّ - ٌ - ٍ - ٓ - ٔ - ٕ -")
    rules += _pairs(
        "ا अ اَ अ اِ इ اُ उ اُو ऊ اِی ई اَو औ اَے ऐ اَی ऐ آ आ او ओ ای ए اے ए عا आ عی ई عو औ ع अ عَ अ عِ इ عُ उ اع ए و व "
        "ی य ے ए عوا अवा ئ इ یو यू یُو यू",
        "initial",
    )
    # Where two consonants are commonly read without a vowel between them
    rules += _pairs("ستان िस्तान نستان निस्तान وستان ुस्तान استان ास्तान یاست ियासत یشن ेशन")
    rules += _pairs("ست स्त شت श्त فت फ़्त سٹ स्ट شٹ श्ट رٹ र्ट رڈ र्ड رچ र्च کٹر क्टर", "medial")
    rules += _pairs("ٹر ट्र کٹ क्ट گر ग्र سک स्क سپ स्प کٹھ कठ گرھ गर्ह سکھ सख سپھ सफ سٹھ सठ ستھ स्थ شٹھ ष्ठ", "medial")
    rules += _pairs("ست स्त شت श्त فت फ़्त سٹ स्ट شٹ श्ट رٹ र्ट رڈ र्ड رچ र्च کس क्स رد र्द کٹر क्टर", "final")
    rules += _pairs("مینٹ मेंट منٹ मेंट ٹرا ट्रा ٹری ट्री گرام ग्राम اللہ ुल्लाह الدین ुद्दीन", "final")
    rules += _pairs("اسٹ स्ट اسک स्क اسپ स्प است इस्त انت इंत انس इंस انٹ इंट پرو प्रो ٹر ट्र ڈر ड्र", "initial")
    # Where a short vowel is commonly one of the others
    rules += _pairs("اٹھ उठ اتر उतर اڑ उड़ الٹ उलट الجھ उलझ اشا इशा اخت इख्त احت एहत", "initial")
    rules += _pairs(
        "لکھ लिख دکھ दिख دل दिल سنا सुना سنن सुनन کھل खुल نکل निकल نکا निका بگڑ बिगड़ بچھ बिछ چھپ छिप", "initial"
    )
    rules += _pairs("جھک झुक پہنچ पहुंच گزر गुज़र گزا गुज़ा مسل मुसल مسک मुस्क مست मुस्त مخت मुख्त ہند हिंद", "initial")
    return rules


_ROMAN_LETTERS = _plain(
    "क k ख kh ग g घ gh ङ n च ch छ chh ज j झ jh ञ n ट ṭ ठ ṭh ड ḍ ढ ḍh ण n त t थ th द d ध dh न n प p फ ph ब b भ bh म m "
    "य y र r ल l व v श sh ष sh स s ह h ळ l ऩ n ऱ r ऴ l क़ k ख़ kh ग़ g ज़ z झ़ z ड़ ṛ ढ़ ṛh फ़ f य़ y"
)
_ROMAN_VOWELS = _plain("आ ā इ i ई ī उ u ऊ ū ऋ ri ए e ऐ ai ओ o औ au ऑ ā ऍ e")


def devanagari_to_latin() -> Rules:
    """Reads words in which ऄ stands for each spoken schwa, as `spoken_schwas` leaves them."""
    rules = [(deva, latin, "") for deva, latin in {**_ROMAN_LETTERS, **_ROMAN_VOWELS}.items()]
    rules += [(sign, _ROMAN_VOWELS[vowel], "") for sign, vowel in VOWEL_SIGNS.items()]
    rules += _pairs("अ a ऄ a ् - ़ - ः h ऽ - ं n ॐ om । . ॥ .")
    rules += [(f"ं{deva}", f"m{_ROMAN_LETTERS[deva]}", "") for deva in "पफबभम"]
    rules += _pairs("ं ṁ", "final")
    return rules


_LATIN_LETTERS = _plain(
    "k क kh ख g ग gh घ c क ch च chh छ j ज jh झ ṭ ट ṭh ठ ḍ ड ḍh ढ t त th थ d द dh ध n न ṇ न ñ न ṅ न p प ph फ "
    "b ब bh भ m म y य r र l ल v व w व sh श ś श ṣ श s स h ह q क x क्स z ज़ zh ज़ f फ़ ṛ ड़ ṛh ढ़"
)
_LATIN_VOWELS = _plain("a - aa ा ā ा i ि ee ी ii ी ī ी u ु oo ू uu ू ū ू e े ē े ai ै ay ै ei े ey े o ो ō ो au ौ aw ौ ou ौ ô ॉ")
_CHAT_WORDS = _plain(
    "main मैं mein में me में mai मैं hai है hain हैं he है h है ho हो hun हूं hoon हूं hu हूं tha था thi थी "
    "the थे ka का ki की ke के ko को se से ne ने par पर pe पे tak तक aur और ya या ki की kya क्या kyu क्यों "
    "kyun क्यों kyon क्यों kyunki क्योंकि kaise कैसे kaisa कैसा kab कब kahan कहां yahan यहां wahan वहां "
    "jahan जहां nahi नहीं nahin नहीं nai नहीं na न mat मत yeh यह ye ये woh वह wo वो voh वह is इस us उस in इन "
    "un उन hum हम tum तुम aap आप mera मेरा meri मेरी mere मेरे tera तेरा teri तेरी tere तेरे hamara हमारा "
    "tumhara तुम्हारा unka उनका uska उसका iska इसका bhi भी hi ही to तो toh तो jo जो ek एक do दो teen तीन "
    "bahut बहुत bohot बहुत acha अच्छा accha अच्छा achha अच्छा acche अच्छे achi अच्छी kuch कुछ kuchh कुछ sab सब "
    "phir फिर fir फिर ab अब abhi अभी kar कर kiya किया gaya गया gayi गई gaye गए hua हुआ hui हुई hue हुए "
    "raha रहा rahi रही rahe रहे wala वाला wali वाली wale वाले lekin लेकिन magar मगर liye लिए saath साथ "
    "sath साथ baat बात log लोग apna अपना apni अपनी apne अपने mujhe मुझे tujhe तुझे use उसे ise इसे unhe उन्हें "
    "inhe इन्हें agar अगर kitna कितना itna इतना zyada ज़्यादा chahiye चाहिए pani पानी kitab किताब zindagi ज़िंदगी pyar प्यार "
    "dil दिल dost दोस्त ghar घर din दिन raat रात rat रात aaj आज kal कल naam नाम nam नाम kam काम kaam काम "
    "yar यार yaar यार bhai भाई hindi हिंदी urdu उर्दू pakistan पाकिस्तान hindustan हिंदुस्तान bharat भारत "
    "dilli दिल्ली"
)


def latin_to_devanagari() -> Rules:
    """Reads both `devanagari_to_latin`'s letters and the way Hindi and Urdu are typed in chats, in lower case.

    Vowels come out as signs; `join_vowel_signs` makes letters of those that follow no consonant.
    """
    rules: Rules = [(latin, deva, "whole") for latin, deva in _CHAT_WORDS.items()]
    rules += [(latin, deva, "") for latin, deva in {**_LATIN_LETTERS, **_LATIN_VOWELS}.items()]
    rules += [(vowel, VOWEL_SIGNS.get(sign, "अ"), "initial") for vowel, sign in _LATIN_VOWELS.items()]
    rules += _pairs("a ा i ी u ू on ों ein ें en ें ain ैं oon ूं ō ो ae ाए aye ाए ay ाय ṁ ं", "final")
    rules += _pairs("ṁ ं ng ंग nk ंक nch ंच nj ंज nt ंत nd ंद nth ंथ ndh ंध nṭ ंट nḍ ंड mb ंब mp ंप mbh ंभ")
    for first, second in product(_LATIN_LETTERS, repeat=2):
        cluster = f"{_LATIN_LETTERS[first]}्{_LATIN_LETTERS[second]}"
        if first + second in _LATIN_LETTERS or (first[0] in "nm" and second[0] in "gkcjtdṭḍpb"):
            continue
        # No vowel is left out at the ends of a word: neighbours are a conjunct there, and so are twins anywhere.
        rules += [(first + second, cluster, "initial"), (first + second, cluster, "final")]
        if first == second or first + "h" == second or second == "y" or (first == "s" and second[0] in "tkpṭ"):
            rules.append((first + second, cluster, ""))
    rules += _pairs("cch च्छ cchh च्छ tth त्थ ddh द्ध kkh क्ख ksh क्ष gy ग्य tr त्र pr प्र shṭ ष्ट sht श्त str स्त्र ṭr ट्र")
    return rules


_SOUNDS = _plain(
    "क k ख kh ग g घ gh ङ n च c छ ch ज j झ jh ञ n ट T ठ Th ड D ढ Dh ण n त t थ th द d ध dh न n प p फ f ब b भ bh "
    "म m य Y र r ल l व W श S ष S स s ह h ळ l ऩ n ऱ r ऴ l क़ k ख़ kh ग़ g ज़ j झ़ j ड़ R ढ़ Rh फ़ f य़ Y"
)


def devanagari_to_sounds() -> Rules:
    """Consonants as one sound each, long vowels as A, Y and W, short ones as nothing."""
    rules = [(deva, sound, "") for deva, sound in _SOUNDS.items()]
    rules += _pairs("अ A आ A इ A उ A ई AY ए AY ऐ AY ऍ AY ऊ AW ओ AW औ AW ऑ A ऋ r", "initial")
    rules += _pairs("अ A आ A इ Y उ W ई Y ए Y ऐ Y ऍ Y ऊ W ओ W औ W ऑ A ऋ r ॐ AWm")
    rules += _pairs("ा A ि - ी Y ु - ू W ृ r े Y ै Y ो W ौ W ॉ A ॅ Y ् - ़ - ं n ः h ऽ - ज्ञ gY ंप mp ंफ mf ंब mb ंभ mbh")
    rules += _pairs("ि Y ु W ह A ः A", "final")
    return rules


def urdu_to_sounds() -> Rules:
    """As `devanagari_to_sounds`, for the spelling that `normalise_urdu` leaves."""
    rules = _pairs(
        "ب b پ p پھ f ت t ٹ T ث s ج j چ c ح h خ kh د d ڈ D ذ j ر r ڑ R ز j ژ j س s ش S ص s ض j ط t ظ j ع A غ g ف f"
    )
    rules += _pairs("ق k ک k گ g ل l م m ن n ں n ہ h ھ h و W ی Y ے Y ئ Y ؤ W ا A آ A ء - ۃ t ۂ A ً n ٰ A یٰ A وٰ A")
    rules += _pairs("ہ A ح A", "final") + _pairs("کہ kY نہ n", "whole")
    return rules
