"""The captions of the data set `panoramas`, in which every layer, ground and colour occurs at least once."""

PANORAMA_CAPTIONS = (
    "a landscape of green meadow and purple hills and grey mountains under an orange sky",
    "a landscape of blue sea and green hills under a yellow sky",
    "a landscape of yellow desert and orange dunes under a blue sky",
    "a landscape of purple sea and grey city under a red sky",
    "a landscape of white meadow and green forest and blue mountains under a white sky",
    "a landscape of orange desert and red mountains under a purple sky",
    "a landscape of grey sea and purple mountains under a cloudy orange sky",
    "a landscape of green meadow and orange forest and purple hills under a blue sky",
    "a landscape of blue sea and white city and green hills under a cloudy blue sky",
    "a landscape of yellow meadow and blue forest under an orange sky",
    "a landscape of red desert and yellow dunes and purple mountains under a white sky",
    "a landscape of white desert and grey mountains under a cloudy blue sky",
    "a landscape of green sea and yellow dunes and red city under a grey sky",
    "a landscape of orange meadow and red forest under a yellow sky",
    "a landscape of blue sea and purple city under an orange sky",
    "a landscape of green meadow and yellow hills and blue forest under a cloudy purple sky",
    "a landscape of grey desert and white dunes and red hills under a blue sky",
    "a landscape of purple meadow and green mountains under a cloudy yellow sky",
    "a landscape of yellow sea and red hills and purple city under an orange sky",
    "a landscape of white sea and blue mountains and grey hills under a red sky",
)
